//! How far a download may be ahead of the merge.
//!
//! One that outruns the merge is held back: what it brought is still in memory when the merge comes to it, and little
//! is left to merge behind the last byte. Where the merge waits, one resource may be late, or a round trip long, while
//! others could come: meanwhile the window grows, so that it never makes a download slower than it is.

/// What may be there ahead of the merge, in bytes, if resources go on as they were on average.
const BYTES: u64 = 32 << 20;
/// Resources ahead of the merge at most, for each that may be in flight.
const EACH: usize = 8;
/// Resources that the merge takes without waiting for one that the window grew by to be taken back.
const CALM: usize = 4;

/// How many resources may have begun behind the last that was asked for.
pub(super) struct Window {
    in_flight: usize,
    /// It grew to this.
    least: usize,
    /// Resources that the merge found there since it shrank.
    found: usize,
    /// Resources that were stored, and their bytes.
    stored: u64,
    bytes: u64,
}

impl Window {
    /// For so many transfers at once.
    pub(super) fn new(in_flight: usize) -> Self {
        Self { in_flight, least: in_flight, found: 0, stored: 0, bytes: 0 }
    }

    /// A resource of so many bytes was stored.
    pub(super) fn note(&mut self, bytes: u64) {
        self.stored += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn len(&self) -> usize {
        let mean = self.bytes.checked_div(self.stored).unwrap_or(0).max(1);
        usize::try_from(BYTES / mean).unwrap_or(usize::MAX).clamp(self.least, self.most())
    }

    /// The merge waits: one more may begin. False where it is as wide as it may be.
    pub(super) fn grow(&mut self) -> bool {
        let before = self.len();
        self.least = before.saturating_add(1).min(self.most());
        self.least > before
    }

    /// The merge found what it asked for.
    pub(super) fn shrink(&mut self) {
        self.found += 1;
        if self.found == CALM {
            (self.found, self.least) = (0, self.in_flight.max(self.least - 1));
        }
    }

    fn most(&self) -> usize {
        self.in_flight.saturating_mul(EACH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn it_holds_some_bytes_and_never_fewer_resources_than_may_be_in_flight() {
        let rows = [
            ("nothing is known yet", 8, &[][..], 64),
            ("small ones", 8, &[1000, 2000], 64),
            ("empty ones", 8, &[0, 0], 64),
            ("of 2 MiB", 8, &[MIB, 3 * MIB], 16),
            ("large ones", 8, &[100 * MIB], 8),
            ("beyond all measure", 2, &[u64::MAX, u64::MAX], 2),
            ("one at a time", 1, &[8 * MIB], 4),
            ("without number", usize::MAX, &[MIB], usize::MAX),
        ];
        for (name, in_flight, sizes, expected) in rows {
            let mut window = Window::new(in_flight);
            sizes.iter().for_each(|bytes| window.note(*bytes));
            assert_eq!(window.len(), expected, "{name}");
        }
    }

    #[test]
    fn while_the_merge_waits_it_grows_to_a_limit_and_then_it_shrinks_slowly() {
        let mut window = Window::new(2);
        window.note(8 * MIB);
        let grown = (0..).take_while(|_| window.grow()).count();
        assert_eq!((grown, window.len()), (12, 16));
        (0..3).for_each(|_| window.shrink());
        assert_eq!(window.len(), 16);
        window.shrink();
        assert_eq!(window.len(), 15);
        (0..100).for_each(|_| window.shrink());
        assert_eq!(window.len(), 4, "what its bytes allow stays");
    }
}
