//! Which segment each sample of fragmented MP4 belongs to, whatever its place in the bytes.

use crate::container::Listed;

/// What the fragments of a session listed so far.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// For each track, with each mark how many samples it and those before it listed.
    tracks: Vec<(u32, Vec<(u64, usize)>)>,
}

impl Fragments {
    /// A fragment of the segment at this mark, the newest, lists samples.
    pub(super) fn add(&mut self, mark: usize, listed: Listed) {
        let track = self.tracks.iter().position(|(track, _)| *track == listed.track).unwrap_or_else(|| {
            self.tracks.push((listed.track, Vec::new()));
            self.tracks.len() - 1
        });
        let totals = &mut self.tracks[track].1;
        let before = totals.last().map_or(0, |(total, _)| *total);
        totals.push((before.saturating_add(listed.samples), mark));
    }

    /// The mark of the segment that lists a track's sample, by its number in the session; `None` if none does.
    pub(super) fn mark_of(&self, track: u32, number: u64) -> Option<usize> {
        let (_, totals) = self.tracks.iter().find(|(t, _)| *t == track)?;
        totals.get(totals.partition_point(|(total, _)| *total <= number)).map(|(_, mark)| *mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_segment_that_lists_it() {
        let mut fragments = Fragments::default();
        for (mark, track, samples) in [(0, 1, 2), (0, 2, 1), (0, 1, 1), (2, 1, 0), (3, 1, 4)] {
            fragments.add(mark, Listed { track, samples });
        }
        let marks = |track| (0..8).map(|n| fragments.mark_of(track, n)).collect::<Vec<_>>();
        assert_eq!(marks(1), [Some(0), Some(0), Some(0), Some(3), Some(3), Some(3), Some(3), None]);
        assert_eq!(marks(2)[..2], [Some(0), None]);
        assert_eq!(marks(3), [None; 8]);
    }
}
