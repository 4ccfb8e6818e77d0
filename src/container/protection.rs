//! Which tracks are encrypted, as the sample descriptions of a `moov` say (ISO/IEC 14496-12, 8.12; ISO/IEC 23001-7).

use super::fragment::{boxes, field};

/// A `moov` that is longer is not looked into.
pub(crate) const MOOV_BYTES: u64 = 64 << 20;

/// Sample entries of what is encrypted: by the standard, and by iTunes before it.
const ENTRIES: [&[u8; 4]; 6] = [b"encv", b"enca", b"enct", b"encs", b"drmi", b"drms"];

/// A track whose samples are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protected {
    /// `track_ID`, which libav has as the stream's `id`.
    pub(crate) track: u32,
    /// `scheme_type`; `None` where it is not told.
    scheme: Option<[u8; 4]>,
}

impl Protected {
    /// By what it is encrypted, to go on with: ` by Common Encryption (cbcs)`. Empty where nothing is known of it.
    pub(crate) fn describe(self) -> String {
        let Some(scheme) = self.scheme.filter(|scheme| scheme.iter().all(u8::is_ascii_alphanumeric)) else {
            return String::new();
        };
        let name = String::from_utf8_lossy(&scheme);
        match &scheme {
            b"cenc" | b"cens" | b"cbc1" | b"cbcs" | b"piff" => format!(" by Common Encryption ({name})"),
            b"odkm" => format!(" by OMA DRM ({name})"),
            b"itun" => format!(" by FairPlay ({name})"),
            _ => format!(" ({name})"),
        }
    }
}

/// Those of an init section. One that is not whole has none.
pub(crate) fn protected_in(init: &[u8]) -> Vec<Protected> {
    boxes(init).filter(|(kind, _)| kind == b"moov").flat_map(|(_, body)| protected_by(body)).collect()
}

/// Those of the body of a `moov`. That a track's samples may be in the clear all the same, by their own groups, is known
/// only when they are read, so that it does not count.
pub(crate) fn protected_by(moov: &[u8]) -> Vec<Protected> {
    let tracks = boxes(moov).filter(|(kind, _)| kind == b"trak");
    tracks.filter_map(|(_, track)| protected(track)).collect()
}

fn protected(track: &[u8]) -> Option<Protected> {
    let header = child(track, b"tkhd")?;
    // Times of 64 bits come before the number in version 1.
    let number = field(header, if header.first() == Some(&1) { 5 } else { 3 })?;
    let table = [b"mdia", b"minf", b"stbl", b"stsd"].iter().try_fold(track, |body, kind| child(body, kind))?;
    let (_, entry) = boxes(table.get(8..)?).find(|(kind, _)| ENTRIES.contains(&kind))?;
    // Fields of the medium's own come before the entry's boxes: in QuickTime as many as its version says.
    let scheme = memchr::memmem::find(entry, b"schm").and_then(|at| entry.get(at + 8..)?.first_chunk().copied());
    Some(Protected { track: number, scheme })
}

fn child<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|(found, _)| found == kind).map(|(_, body)| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    fn track(version: u8, number: u8, entry: &[u8; 4], scheme: &[u8]) -> Vec<u8> {
        let times = vec![0; if version == 1 { 16 } else { 8 }];
        let header = boxed(b"tkhd", &[&[version, 0, 0, 7][..], &times, &[0, 0, 0, number], &[9; 60]].concat());
        let protection = boxed(b"sinf", &[boxed(b"frma", b"avc1"), scheme.to_vec()].concat());
        let table = boxed(
            b"stsd",
            &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(entry, &[&[0; 78][..], &protection].concat())].concat(),
        );
        let media = [b"stbl", b"minf", b"mdia"].iter().fold(table, |body, kind| boxed(kind, &body));
        boxed(b"trak", &[header, media].concat())
    }

    fn scheme(kind: &[u8; 4]) -> Vec<u8> {
        boxed(b"schm", &[&[0; 4][..], kind, &[0, 1, 0, 0]].concat())
    }

    #[test]
    fn tracks_are_told_by_their_sample_entries() {
        let tracks = [
            track(0, 1, b"avc1", &[]),
            track(1, 2, b"encv", &scheme(b"cbcs")),
            track(0, 3, b"enca", &scheme(b"odkm")),
            track(0, 4, b"drms", &[]),
        ];
        let init = [boxed(b"ftyp", b"iso6\0\0\0\0"), boxed(b"moov", &tracks.concat())].concat();
        let found: Vec<_> = protected_in(&init).into_iter().map(|p| (p.track, p.describe())).collect();
        let expected = [(2, " by Common Encryption (cbcs)"), (3, " by OMA DRM (odkm)"), (4, "")];
        assert_eq!(found, expected.map(|(track, how)| (track, how.to_owned())));
    }

    #[test]
    fn what_is_cut_has_none_and_is_no_trouble() {
        let init = boxed(b"moov", &track(0, 1, b"encv", &scheme(b"cenc")));
        for end in 0..init.len() {
            assert_eq!(protected_in(&init[..end]), [], "{end}");
            protected_by(&init[8.min(end)..end]);
        }
        for at in 0..init.len() {
            let mut spoiled = init.clone();
            spoiled[at] = 0xff;
            protected_in(&spoiled);
        }
    }
}
