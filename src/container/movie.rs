//! What a `moov` says of its tracks: which are encrypted (ISO/IEC 14496-12, 8.12; ISO/IEC 23001-7), and which hold nothing.

use super::fragment::{boxes, field};

/// A `moov` that is longer is not looked into.
pub(crate) const MOOV_BYTES: u64 = 64 << 20;

/// Sample entries of what is encrypted: by the standard, and by iTunes before it.
const ENCRYPTED: [&[u8; 4]; 6] = [b"encv", b"enca", b"enct", b"encs", b"drmi", b"drms"];

/// Schemes that give each sample its own start, so that libav marks those that are encrypted.
const MARKED: [&[u8; 4]; 3] = [b"cenc", b"cens", b"cbc1"];

/// A track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MovieTrack {
    /// `track_ID`, which libav has as the stream's `id`.
    pub(crate) number: u32,
    /// How its samples are encrypted; `None` where all of its sample entries are in the clear.
    pub(crate) protection: Option<Protection>,
    /// It has no sample, and none can come in fragments.
    pub(crate) is_empty: bool,
}

/// By what a track is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protection {
    /// `scheme_type`; `None` where that is not told.
    scheme: Option<[u8; 4]>,
    /// Another sample entry is in the clear, as where a film begins so: each sample tells.
    pub(crate) is_partial: bool,
}

impl Protection {
    /// To go on with behind `encrypted`: ` by Common Encryption (cbcs)`. Empty where nothing is known of it.
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

/// The tracks of an init section. One that is not whole has none.
pub(crate) fn tracks_in(init: &[u8]) -> Vec<MovieTrack> {
    boxes(init).filter(|(kind, _)| kind == b"moov").flat_map(|(_, body)| tracks_of(body)).collect()
}

/// Those of the body of a `moov`.
pub(crate) fn tracks_of(moov: &[u8]) -> Vec<MovieTrack> {
    let tracks = boxes(moov).filter(|(kind, _)| kind == b"trak");
    let mut tracks: Vec<MovieTrack> = tracks.filter_map(|(_, body)| track(body)).collect();
    // Some init sections do not announce the fragments that follow.
    if child(moov, b"mvex").is_some() || tracks.iter().all(|track| track.is_empty) {
        tracks.iter_mut().for_each(|track| track.is_empty = false);
    }
    tracks
}

fn track(body: &[u8]) -> Option<MovieTrack> {
    let header = child(body, b"tkhd")?;
    // Times of 64 bits come before the number in version 1.
    let number = field(header, if header.first() == Some(&1) { 5 } else { 3 })?;
    let tables = [b"mdia", b"minf", b"stbl"].iter().try_fold(body, |body, kind| child(body, kind))?;
    let entries = child(tables, b"stsd").and_then(|table| table.get(8..)).unwrap_or_default();
    let entry = boxes(entries).find(|(kind, _)| ENCRYPTED.contains(&kind));
    // Fields of the medium's own come before an entry's boxes: in QuickTime as many as its version says.
    let scheme =
        |entry| memchr::memmem::find(entry, b"schm").and_then(|at| entry.get(at + 8..)?.first_chunk().copied());
    let sizes = child(tables, b"stsz").or_else(|| child(tables, b"stz2"));
    let is_empty = sizes.and_then(|sizes| field(sizes, 2)) == Some(0);
    let has_clear = boxes(entries).any(|(kind, _)| !ENCRYPTED.contains(&&kind));
    let protection = entry.map(|(_, entry): (_, &[u8])| {
        let scheme = scheme(entry);
        Protection { scheme, is_partial: has_clear && scheme.is_some_and(|scheme| MARKED.contains(&&scheme)) }
    });
    Some(MovieTrack { number, protection, is_empty })
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

    /// A track of so many samples; `scheme`: a box of its sample entry.
    fn track(version: u8, number: u8, entry: &[u8; 4], scheme: &[u8], samples: u8) -> Vec<u8> {
        let times = vec![0; if version == 1 { 16 } else { 8 }];
        let header = boxed(b"tkhd", &[&[version, 0, 0, 7][..], &times, &[0, 0, 0, number], &[9; 60]].concat());
        let protection = boxed(b"sinf", &[boxed(b"frma", b"avc1"), scheme.to_vec()].concat());
        let entry = boxed(entry, &[&[0; 78][..], &protection].concat());
        let entries = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat());
        let sizes = boxed(b"stsz", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, samples]);
        let tables = [entries, sizes].concat();
        let media = [b"stbl", b"minf", b"mdia"].iter().fold(tables, |body, kind| boxed(kind, &body));
        boxed(b"trak", &[header, media].concat())
    }

    fn scheme(kind: &[u8; 4]) -> Vec<u8> {
        boxed(b"schm", &[&[0; 4][..], kind, &[0, 1, 0, 0]].concat())
    }

    #[test]
    fn encrypted_tracks_are_told_by_their_sample_entries() {
        let tracks = [
            track(0, 1, b"avc1", &[], 1),
            track(1, 2, b"encv", &scheme(b"cbcs"), 1),
            track(0, 3, b"enca", &scheme(b"odkm"), 1),
            track(0, 4, b"drms", &[], 1),
        ];
        let init = [boxed(b"ftyp", b"iso6\0\0\0\0"), boxed(b"moov", &tracks.concat())].concat();
        let found =
            tracks_in(&init).into_iter().map(|track| (track.number, track.protection.map(Protection::describe)));
        let expected =
            [(1, None), (2, Some(" by Common Encryption (cbcs)")), (3, Some(" by OMA DRM (odkm)")), (4, Some(""))];
        assert_eq!(found.collect::<Vec<_>>(), expected.map(|(track, how)| (track, how.map(str::to_owned))));
    }

    #[test]
    fn a_clear_sample_entry_beside_an_encrypted_one_leaves_it_to_the_samples_where_they_tell() {
        for (kind, expected) in [(b"cenc", true), (b"cens", true), (b"cbc1", true), (b"cbcs", false), (b"odkm", false)]
        {
            for (other, is_partial) in [(b"avc1", expected), (b"encv", false)] {
                let mut track = track(0, 1, b"encv", &scheme(kind), 1);
                let end = track.windows(4).position(|window| window == b"stsz").unwrap() - 4;
                let entry = boxed(other, &[0; 78]);
                track.splice(end..end, entry.clone());
                // The boxes around it are as much longer.
                for around in [b"trak", b"mdia", b"minf", b"stbl", b"stsd"] {
                    let low = track.windows(4).position(|window| window == around).unwrap() - 2;
                    let size = u16::from_be_bytes([track[low], track[low + 1]]) + entry.len() as u16;
                    track[low..low + 2].copy_from_slice(&size.to_be_bytes());
                }
                let found = tracks_of(&track)[0].protection.unwrap();
                assert_eq!(found.is_partial, is_partial, "{kind:?} {other:?}");
            }
        }
    }

    #[test]
    fn tracks_are_empty_where_others_are_not_and_no_fragment_follows() {
        let empty = |moov: &[Vec<u8>]| tracks_of(&moov.concat()).iter().map(|track| track.is_empty).collect::<Vec<_>>();
        let [none, some] = [0, 5].map(|samples| track(0, 1, b"avc1", &[], samples));
        assert_eq!(empty(&[some.clone(), none.clone()]), [false, true]);
        assert_eq!(empty(&[some, none.clone(), boxed(b"mvex", &[])]), [false, false]);
        assert_eq!(empty(&[none.clone(), none]), [false, false]);
    }

    #[test]
    fn what_is_cut_has_none_and_is_no_trouble() {
        let init = boxed(b"moov", &track(0, 1, b"encv", &scheme(b"cenc"), 1));
        for end in 0..init.len() {
            assert_eq!(tracks_in(&init[..end]), [], "{end}");
            tracks_of(&init[8.min(end)..end]);
        }
        for at in 0..init.len() {
            let mut spoiled = init.clone();
            spoiled[at] = 0xff;
            tracks_in(&spoiled);
        }
    }
}
