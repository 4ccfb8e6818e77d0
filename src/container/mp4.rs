//! The top level of ISO base media files (ISO/IEC 14496-12, 4.2): just enough to tell an init
//! section from fragments.

/// Box types that may stand first in a segment.
const FIRST_BOXES: [&[u8; 4]; 13] = [
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"emsg", b"prft", b"free", b"skip", b"wide", b"uuid",
];

/// A box header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxHeader {
    pub(crate) kind: [u8; 4],
    /// Bytes of header and body; 0 means up to the end of the file.
    pub(crate) size: u64,
}

/// The header at the start of the bytes; `None` if there are too few, or the size contradicts itself.
pub(crate) fn box_header(bytes: &[u8]) -> Option<BoxHeader> {
    let [a, b, c, d, kind @ ..] = *bytes.first_chunk::<8>()?;
    match u32::from_be_bytes([a, b, c, d]) {
        1 => {
            let size = u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
            (size >= 16).then_some(BoxHeader { kind, size })
        }
        0 => Some(BoxHeader { kind, size: 0 }),
        size => (size >= 8).then_some(BoxHeader { kind, size: u64::from(size) }),
    }
}

pub(super) fn starts_with_box(bytes: &[u8]) -> bool {
    box_header(bytes).is_some_and(|header| FIRST_BOXES.contains(&&header.kind))
}

/// What stands before the media of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitPrefix {
    /// Fragments only: they need an init section.
    None,
    /// An init section of so many bytes, then fragments or media.
    Length(usize),
    /// An init section and nothing else.
    Only,
    /// Media comes first: the file's `moov` stands at its end, and reading it takes seeking.
    AtEnd,
}

/// Looks for an init section at a segment's start; `whole` if the bytes are the whole segment.
pub(crate) fn init_prefix(head: &[u8], whole: bool) -> InitPrefix {
    let mut at = 0usize;
    let mut ftyp = false;
    while let Some(header) = head.get(at..).and_then(box_header) {
        let next = usize::try_from(header.size).ok().filter(|size| *size > 0).and_then(|size| at.checked_add(size));
        match &header.kind {
            b"moov" => {
                return match next {
                    Some(end) if whole && end >= head.len() => InitPrefix::Only,
                    Some(end) => InitPrefix::Length(end),
                    None => InitPrefix::Only,
                };
            }
            b"moof" => return InitPrefix::None,
            b"mdat" => return if ftyp { InitPrefix::AtEnd } else { InitPrefix::None },
            b"ftyp" => ftyp = true,
            _ => {}
        }
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    InitPrefix::None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(kind: &[u8; 4], body: usize) -> Vec<u8> {
        let mut bytes = (8 + body as u32).to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.resize(8 + body, 0);
        bytes
    }

    #[test]
    fn finds_the_init_section() {
        let init = [mp4_box(b"ftyp", 8), mp4_box(b"moov", 100)].concat();
        let media = [mp4_box(b"moof", 50), mp4_box(b"mdat", 9)].concat();
        assert_eq!(init_prefix(&[init.clone(), media.clone()].concat(), true), InitPrefix::Length(init.len()));
        assert_eq!(init_prefix(&init, true), InitPrefix::Only);
        assert_eq!(init_prefix(&[mp4_box(b"styp", 8), media].concat(), true), InitPrefix::None);
        assert_eq!(init_prefix(&[mp4_box(b"ftyp", 8), mp4_box(b"mdat", 9)].concat(), false), InitPrefix::AtEnd);
    }

    #[test]
    fn contradicting_sizes_are_no_box() {
        assert!(!starts_with_box(b"\0\0\0\x07moov"));
        assert!(!starts_with_box(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f"));
        assert!(!starts_with_box(b"\0\0\0\x10GGGG"));
    }
}
