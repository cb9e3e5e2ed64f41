//! The consistency that a read asks for.

use crate::cache::read::Level;
use crate::cache::reason::Reason;

/// Level, guarantee and default flag of a request, each as its last correctly typed field says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub level: u64,
    pub guarantee: u64,
    pub is_default: bool,
}

impl Wanted {
    /// The level as Milvus's proxy takes it (`parseGuaranteeTs`, `parseGuaranteeTsFromConsistency`); None: that of the
    /// collection. SDKs that know no levels send level 0 with a guarantee.
    pub fn stated(self) -> Result<Option<Level>, Reason> {
        let level = level_of(self.level).ok_or(Reason::UnknownLevel)?;
        let level = match (level, self.guarantee) {
            _ if self.is_default => return Ok(None),
            (Level::Strong, 0) => Level::Strong,
            (Level::Strong, 1) => Level::Eventually,
            (Level::Strong, 2) => Level::Bounded,
            (Level::Strong, _) => Level::Customized,
            // With this guarantee Milvus never waits.
            (Level::Session | Level::Customized, 1) => Level::Eventually,
            (level, _) => level,
        };
        Ok(Some(level))
    }
}

/// The level with this number in `common.ConsistencyLevel`.
pub fn level_of(number: u64) -> Option<Level> {
    const LEVELS: [Level; 5] =
        [Level::Strong, Level::Session, Level::Bounded, Level::Eventually, Level::Customized];
    LEVELS.get(usize::try_from(number).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_one_that_milvus_would_take() {
        for (level, guarantee, expected) in [
            (0, 0, Level::Strong),
            (0, 1, Level::Eventually),
            (0, 2, Level::Bounded),
            (0, 3, Level::Customized),
            (0, 1 << 60, Level::Customized),
            (1, 0, Level::Session),
            (1, 1, Level::Eventually),
            (1, 2, Level::Session),
            (1, 1 << 60, Level::Session),
            (2, 0, Level::Bounded),
            (2, 1, Level::Bounded),
            (2, 2, Level::Bounded),
            (2, 1 << 60, Level::Bounded),
            (3, 0, Level::Eventually),
            (3, 1 << 60, Level::Eventually),
            (4, 0, Level::Customized),
            (4, 1, Level::Eventually),
            (4, 1 << 60, Level::Customized),
        ] {
            let wanted = Wanted { level, guarantee, is_default: false };

            assert_eq!(Ok(Some(expected)), wanted.stated(), "{level} {guarantee}");
            assert_eq!(Ok(None), Wanted { is_default: true, ..wanted }.stated());
        }
    }

    #[test]
    fn a_level_that_milvus_does_not_have_is_none() {
        for level in [5, 1 << 32, u64::MAX] {
            for is_default in [false, true] {
                let wanted = Wanted { level, guarantee: 0, is_default };

                assert_eq!(Err(Reason::UnknownLevel), wanted.stated(), "{level}");
            }
        }
    }
}
