//! Whether a piece of an H.264 byte stream is one picture with all that belongs to it (ITU-T H.264, 7.4.1.2.3 and B.1).

use memchr::memmem::Finder;
use std::sync::LazyLock;

static START_CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

/// A coded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WholePicture {
    /// A sequence parameter set comes with it.
    pub(crate) has_parameters: bool,
    /// Where the header of its first slice begins: what is behind that header tells nothing of the picture as a whole.
    pub(crate) first_slice: usize,
}

/// Looks where libav's parser would put borders (libavcodec/h264_parser.c): `None` unless that is at both ends and nowhere
/// between.
pub(crate) fn whole_picture(bytes: &[u8]) -> Option<WholePicture> {
    let begins = bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1]);
    // A zero at the end may be half of the next start code, or padding.
    if !begins || bytes.last() == Some(&0) {
        return None;
    }
    let mut last_slice = None;
    let mut first_slice = 0;
    let mut has_parameters = false;
    let mut is_first = true;
    for start in START_CODE.find_iter(bytes).map(|at| at + 3) {
        match bytes.get(start)? & 0x1f {
            // Slices, and the first partition of one.
            1 | 2 | 5 => {
                let macroblock = first_macroblock(&bytes[start + 1..]);
                if last_slice.map_or(is_first && macroblock > 0, |last| macroblock <= last) {
                    return None;
                }
                if last_slice.replace(macroblock).is_none() {
                    first_slice = start;
                }
            }
            // Supplemental information, parameter sets and delimiters stand before a picture.
            kind @ 6..=9 => {
                if last_slice.is_some() {
                    return None;
                }
                has_parameters |= kind == 7;
            }
            _ if is_first => return None,
            _ => {}
        }
        is_first = false;
    }
    last_slice.map(|_| WholePicture { has_parameters, first_slice })
}

/// Whether both kinds of parameter sets stand before the first slice, whose start is there: so they are whole, though the
/// picture may be cut.
pub(crate) fn begins_with_parameters(bytes: &[u8]) -> bool {
    let kinds = START_CODE.find_iter(bytes).filter_map(|at| bytes.get(at + 3)).map(|byte| byte & 0x1f);
    let mut sets = (false, false);
    for kind in kinds {
        match kind {
            1 | 2 | 5 => return sets == (true, true),
            7 => sets.0 = true,
            8 => sets.1 = true,
            _ => {}
        }
    }
    false
}

/// `first_mb_in_slice`, an Exp-Golomb code at the start of a slice header.
fn first_macroblock(header: &[u8]) -> u32 {
    let bits = header.iter().take(4).fold(0, |bits, byte| bits << 8 | u32::from(*byte))
        << (8 * (4 - header.len().min(4)) % 32);
    match bits.leading_zeros() {
        zeros @ 0..=15 => (bits >> (31 - 2 * zeros)) - 1,
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(body: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 1], body].concat()
    }

    #[test]
    fn a_picture_is_whole_if_no_border_is_inside() {
        let (delimiter, set, information) = (unit(&[9, 16]), unit(&[0x67, 1]), unit(&[6, 1]));
        // The macroblocks 0, 1 and 2, as codes `1`, `010` and `011`.
        let [first, second, third] = [0x80, 0x40, 0x60].map(|byte| unit(&[0x65, byte, 7]));
        let filler = unit(&[12, 0xff]);
        let whole = |parts: &[&Vec<u8>]| {
            whole_picture(&parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>())
                .map(|p| p.has_parameters)
        };
        assert_eq!(whole(&[&delimiter, &set, &information, &first]), Some(true));
        assert_eq!(
            whole_picture(&[&delimiter[..], &first, &second].concat()).unwrap().first_slice,
            delimiter.len() + 4
        );
        assert_eq!(whole(&[&delimiter, &first, &second, &third, &filler]), Some(false), "slices");
        assert_eq!(whole(&[&first]), Some(false), "no delimiter");
        assert_eq!(whole(&[&first, &first]), None, "two pictures, or fields");
        assert_eq!(whole(&[&first, &third, &second]), None, "a picture whose start is lost");
        assert_eq!(whole(&[&delimiter, &first, &delimiter]), None, "the next one's delimiter");
        assert_eq!(whole(&[&delimiter, &first, &information, &second]), None);
        assert_eq!(whole(&[&second]), None, "the rest of a picture");
        assert_eq!(whole(&[&delimiter, &set]), None, "no picture");
        assert_eq!(whole(&[&filler, &first]), None, "what belongs to the picture before");
        assert_eq!(whole(&[&first, &vec![0]]), None, "padding");
        assert_eq!(whole(&[&vec![7], &first]), None, "no start code");
        assert_eq!(whole(&[&vec![0], &first]), None, "more zeros than a start code has");
    }

    #[test]
    fn parameter_sets_are_whole_where_the_first_slice_begins() {
        let [sequence, picture, information, slice] = [0x67, 0x68, 6, 0x65].map(|kind| unit(&[kind, 9]));
        let begins = |parts: &[&[u8]]| begins_with_parameters(&parts.concat());
        assert!(begins(&[&sequence, &picture, &information, &slice]));
        assert!(begins(&[&sequence, &picture, &slice[..5]]));
        assert!(!begins(&[&sequence, &information, &picture]), "the second set may be cut");
        assert!(!begins(&[&sequence, &picture, &[0, 0, 1]]));
        assert!(!begins(&[&sequence, &slice, &picture]));
        assert!(!begins(&[&picture, &slice]));
        assert!(!begins(&[]));
    }

    #[test]
    fn macroblock_numbers_are_read_from_whatever_is_there() {
        for (header, number) in [
            (&[0x80u8][..], 0),
            (&[0x40], 1),
            (&[0x60], 2),
            (&[0x20, 0x00], 3),
            (&[0, 1, 0, 0, 9], 32767),
            (&[0, 0, 0x80], u32::MAX),
            (&[], u32::MAX),
        ] {
            assert_eq!(first_macroblock(header), number, "{header:?}");
        }
    }
}
