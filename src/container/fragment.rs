//! What a movie fragment lists (ISO/IEC 14496-12, 8.8.4 to 8.8.8).

use super::mp4::box_header;

/// Samples of a track that a fragment lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// `track_ID`, which libav has as the stream's `id`.
    pub(crate) track: u32,
    pub(crate) samples: u64,
}

/// Those of each track, by the body of a `moof`.
pub(super) fn listed(moof: &[u8]) -> Vec<Listed> {
    let fragments = boxes(moof).filter(|(kind, _)| kind == b"traf");
    let track =
        |fragment: &[u8]| boxes(fragment).find(|(kind, _)| kind == b"tfhd").and_then(|(_, body)| field(body, 1));
    let samples = |fragment: &[u8]| {
        boxes(fragment).filter(|(kind, _)| kind == b"trun").filter_map(|(_, body)| field(body, 1)).map(u64::from).sum()
    };
    fragments.filter_map(|(_, body)| Some(Listed { track: track(body)?, samples: samples(body) })).collect()
}

/// The boxes that stand one behind the other, up to the first that is not whole.
pub(super) fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let header = box_header(bytes)?;
        let body =
            bytes.get(if bytes.starts_with(&[0, 0, 0, 1]) { 16 } else { 8 }..usize::try_from(header.size).ok()?)?;
        bytes = &bytes[header.size as usize..];
        Some((header.kind, body))
    })
}

/// A field of 32 bits, by its position among a box's.
pub(super) fn field(body: &[u8], position: usize) -> Option<u32> {
    body.get(4 * position..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    fn fragment(track: u8, runs: &[u8]) -> Vec<u8> {
        let runs = runs.iter().flat_map(|samples| boxed(b"trun", &[0, 0, 2, 1, 0, 0, 0, *samples, 9, 9]));
        boxed(b"traf", &[boxed(b"tfhd", &[0, 2, 0, 0, 0, 0, 0, track]), runs.collect()].concat())
    }

    #[test]
    fn samples_are_counted_for_each_track() {
        let moof = [boxed(b"mfhd", &[0; 8]), fragment(2, &[3, 4]), fragment(1, &[]), fragment(7, &[1])].concat();
        let found = [(2, 7), (1, 0), (7, 1)].map(|(track, samples)| Listed { track, samples });
        assert_eq!(listed(&moof), found);
    }

    #[test]
    fn what_is_not_whole_is_not_counted() {
        let moof = [fragment(2, &[3]), fragment(1, &[5])].concat();
        for end in 0..moof.len() {
            let first = if end >= moof.len() / 2 { 1 } else { 0 };
            assert_eq!(listed(&moof[..end]).len(), first, "{end}");
        }
    }
}
