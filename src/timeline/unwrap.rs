//! Timestamps that wrap at 33 bit, as one line without end.

/// The period of MPEG's timestamps, in ticks.
pub(crate) const PERIOD: i64 = 1 << 33;

/// The value nearest to `reference` among those that wrap to the same 33 bits.
///
/// Takes what libav made of a timestamp too: it adds or subtracts a period where it saw PTS and DTS on
/// two sides of a wrap.
pub(crate) fn nearest(ticks: i64, reference: i64) -> i64 {
    let (ticks, reference) = (i128::from(ticks), i128::from(reference));
    let period = i128::from(PERIOD);
    // Rounded to whole periods, half a period away from zero.
    let periods = (reference - ticks + period / 2).div_euclid(period);
    let found = ticks + periods * period;
    i64::try_from(found).unwrap_or(if found < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_congruent_and_within_half_a_period(ticks in -PERIOD..2 * PERIOD, reference in -(1i64 << 50)..1i64 << 50) {
            let found = nearest(ticks, reference);
            prop_assert_eq!((found - ticks).rem_euclid(PERIOD), 0);
            prop_assert!((found - reference).abs() <= PERIOD / 2);
        }
    }

    #[test]
    fn goes_on_over_the_wrap() {
        assert_eq!(nearest(5, PERIOD - 3), PERIOD + 5);
        assert_eq!(nearest(PERIOD - 3, PERIOD + 5), PERIOD - 3);
    }
}
