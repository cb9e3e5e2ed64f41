//! SHA-256 with the processor's own instructions, which take a quarter of the time.

use kiteway_filter_core::sha256::accelerate;

/// Uses the processor's instructions if it has them.
pub fn use_processor() {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
    {
        accelerate(x86_64::compress);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use kiteway_filter_core::sha256::K;

    /// Takes a block into the state. Only for a processor with the instructions that `use_processor` looks for.
    pub fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
        // SAFETY: `use_processor` hands this function out only where the processor has them.
        unsafe { compress_block(state, block) }
    }

    /// # Safety
    /// The processor must have these features.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    unsafe fn compress_block(state: &mut [u32; 8], block: &[u8; 64]) {
        // SAFETY: the loads and stores are of 16 bytes and lie within the arrays; they need no alignment. The rest works
        // on registers.
        unsafe {
            let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
            let pointer = state.as_mut_ptr().cast::<__m128i>();
            // The instructions want the state as (a, b, e, f) and (c, d, g, h).
            let cdab = _mm_shuffle_epi32(_mm_loadu_si128(pointer), 0xb1);
            let efgh = _mm_shuffle_epi32(_mm_loadu_si128(pointer.add(1)), 0x1b);
            let (abef_before, cdgh_before) =
                (_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0));
            let (mut abef, mut cdgh) = (abef_before, cdgh_before);
            let mut words = [_mm_setzero_si128(); 4];
            for (place, word) in words.iter_mut().enumerate() {
                let bytes = _mm_loadu_si128(block.as_ptr().cast::<__m128i>().add(place));
                *word = _mm_shuffle_epi8(bytes, big_endian);
            }
            for group in 0..16 {
                let input = if group < 4 {
                    words[group]
                } else {
                    let [first, second, third, fourth] = words;
                    let sum = _mm_add_epi32(
                        _mm_sha256msg1_epu32(first, second),
                        _mm_alignr_epi8(fourth, third, 4),
                    );
                    let next = _mm_sha256msg2_epu32(sum, fourth);
                    words = [second, third, fourth, next];
                    next
                };
                let constants = _mm_loadu_si128(K.as_ptr().cast::<__m128i>().add(group));
                let input = _mm_add_epi32(input, constants);
                cdgh = _mm_sha256rnds2_epu32(cdgh, abef, input);
                abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(input, 0x0e));
            }
            let feba = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1b);
            let dchg = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xb1);
            _mm_storeu_si128(pointer, _mm_blend_epi16(feba, dchg, 0xf0));
            _mm_storeu_si128(pointer.add(1), _mm_alignr_epi8(dchg, feba, 8));
        }
    }
}
