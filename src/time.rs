//! Time as media files count it: ticks of a time base, and nanoseconds where clocks are compared.

/// Length of one tick, in seconds: `num / den`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeBase {
    /// Numerator; above zero.
    pub num: u32,
    /// Denominator; above zero.
    pub den: u32,
}

impl TimeBase {
    /// MPEG's 90 kHz clock (ISO/IEC 13818-1, 2.4.3.7).
    pub const MPEG: Self = Self { num: 1, den: 90_000 };

    /// A time base from the two halves of a fraction; `None` unless both are above zero.
    pub fn new(num: i32, den: i32) -> Option<Self> {
        match (u32::try_from(num), u32::try_from(den)) {
            (Ok(num @ 1..), Ok(den @ 1..)) => Some(Self { num, den }),
            _ => None,
        }
    }

    /// One tick per `rate_hz`-th of a second; `None` for a rate of zero.
    pub fn per_second(rate_hz: u32) -> Option<Self> {
        (rate_hz > 0).then_some(Self { num: 1, den: rate_hz })
    }
}

/// A point in time, or with its sign a difference, on a job's clock in nanoseconds.
///
/// Clocks with different time bases meet in this unit. It is fine enough that every tick of
/// a time base in use comes back exactly, and wide enough for 292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

impl Nanos {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// From whole milliseconds.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms * 1_000_000)
    }

    /// From ticks of a time base, rounded to nearest; saturates beyond 292 years.
    pub fn from_ticks(ticks: i64, base: TimeBase) -> Self {
        Self(rescale(ticks, i128::from(base.num) * 1_000_000_000, i128::from(base.den)))
    }

    /// In ticks of a time base, rounded to nearest.
    pub fn to_ticks(self, base: TimeBase) -> i64 {
        rescale(self.0, i128::from(base.den), i128::from(base.num) * 1_000_000_000)
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The sum; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; saturates.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How far apart two points are; saturates.
    pub(crate) fn distance(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).saturating_abs())
    }
}

/// Ticks of one time base in another, rounded to nearest; saturates.
pub(crate) fn rescale_ticks(ticks: i64, from: TimeBase, to: TimeBase) -> i64 {
    if from == to {
        return ticks;
    }
    rescale(ticks, i128::from(from.num) * i128::from(to.den), i128::from(from.den) * i128::from(to.num))
}

/// `value * mul / div`, rounded to nearest with ties away from zero. An `i64` times two `u32`
/// and 10^9 at most stays inside `i128`.
fn rescale(value: i64, mul: i128, div: i128) -> i64 {
    let product = i128::from(value) * mul;
    let half = div / 2;
    let rounded = if product < 0 { (product - half) / div } else { (product + half) / div };
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_survive_the_way_through_nanoseconds(
            ticks in -(1i64 << 40)..(1i64 << 40),
            den in prop::sample::select(vec![1_000u32, 12_800, 22_050, 44_100, 48_000, 90_000, 10_000_000]),
        ) {
            let base = TimeBase { num: 1, den };
            prop_assert_eq!(Nanos::from_ticks(ticks, base).to_ticks(base), ticks);
        }
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(Nanos::from_ticks(i64::MAX, TimeBase { num: u32::MAX, den: 1 }), Nanos(i64::MAX));
        assert_eq!(TimeBase::new(0, 1), None);
    }
}
