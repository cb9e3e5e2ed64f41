//! Bugs that are planted on purpose: a checker that does not find them proves nothing.
//!
//! They exist only with the cargo feature `planted`, which no release has. There the environment variable
//! `KITEWAY_PLANTED` names the one that is present.

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        $(
            $(#[$doc])*
            #[cfg(not(feature = "planted"))]
            pub const fn $name() -> bool {
                false
            }

            $(#[$doc])*
            #[cfg(feature = "planted")]
            pub fn $name() -> bool {
                is_planted(stringify!($name))
            }
        )+

        /// All of them, by name.
        #[cfg(feature = "planted")]
        const NAMES: &[&str] = &[$(stringify!($name),)+];
    };
}

bugs! {
    /// A fill does not send `use_default_consistency = false`, so Milvus ignores its guarantee.
    default_flag_not_sent,
    /// An answer's label has the time of the fill instead of its sample's.
    label_is_now,
    /// Strong reads are treated as Bounded.
    strong_stored,
    /// An answer is stored whatever the generation is.
    generation_ignored_at_store,
    /// A call is joined whatever the generation is, and while it is closed.
    generation_ignored_at_join,
    /// All pools share what is stored.
    pool_not_in_key,
    /// Users share answers.
    authorization_not_in_key,
    /// What was learned of a collection is valid for ever.
    levels_never_expire,
    /// A sample's time is that of its answer.
    sample_aged_from_receipt,
    /// The clock stands still while the machine is suspended.
    clock_without_suspend,
}

#[cfg(feature = "planted")]
fn is_planted(name: &str) -> bool {
    use std::sync::LazyLock;
    static PLANTED: LazyLock<Option<String>> = LazyLock::new(|| {
        let name = std::env::var("KITEWAY_PLANTED").ok()?;
        assert!(NAMES.contains(&name.as_str()), "KITEWAY_PLANTED={name} is none of {NAMES:?}");
        Some(name)
    });
    PLANTED.as_deref() == Some(name)
}
