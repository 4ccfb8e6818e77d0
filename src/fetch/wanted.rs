//! What a job needs from the web, in the order in which the merge comes to it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use url::Url;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::playlist::{ByteRange, Location, Segment};
use crate::time::Nanos;

/// What a resource is to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Media; `encrypted`: nothing can be told from its bytes as they come.
    Segment { encrypted: bool },
    /// An init section.
    Init { encrypted: bool },
    /// A segment of subtitles.
    Text,
    /// A decryption key, which is kept in memory only.
    Key,
}

/// A resource, or a part of one.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    pub(crate) url: Url,
    pub(crate) range: Option<ByteRange>,
    /// The sequence of segments that names it, and the segment.
    pub(crate) input: usize,
    pub(crate) media_sequence: u64,
    /// By EXTINF.
    pub(crate) duration: Option<Nanos>,
    /// Tells it from others from run to run: by its place in the list, and its URL without user and query.
    pub(crate) key: u128,
    /// No other has its key.
    pub(crate) unique: bool,
    /// How many segments name it.
    pub(crate) uses: usize,
}

impl Wanted {
    /// Of its whole URL.
    pub(crate) fn exact(&self) -> u64 {
        xxh3_64(self.url.as_str().as_bytes())
    }

    /// A segment that the journal may know; keys never are.
    pub(crate) fn is_kept(&self) -> bool {
        self.kind != Kind::Key
    }
}

/// A sequence of segments, as far as it matters here.
pub(crate) struct Sequence<'a> {
    pub(crate) segments: &'a [Segment],
    /// Of subtitles.
    pub(crate) is_text: bool,
    /// The user gave the key, and those that the playlist names are left alone.
    pub(crate) key_given: bool,
}

/// All that sequences need from the web: each resource once, by the time of the segment that needs it first.
/// Subtitles come before all else, as a job reads them before it merges.
pub(crate) fn wanted(sequences: &[Sequence<'_>]) -> Vec<Wanted> {
    let shape = shape(sequences);
    let mut found: Vec<(Nanos, Wanted)> = Vec::new();
    let mut seen: HashMap<_, usize> = HashMap::new();
    for (input, sequence) in sequences.iter().enumerate() {
        let mut at = Nanos::ZERO;
        for segment in sequence.segments.iter().filter(|s| !s.gap) {
            let mut add = |kind, location: &Location, range: Option<ByteRange>| {
                let Location::Http(url) = location else { return };
                match seen.entry((url.clone(), range, kind == Kind::Key)) {
                    Entry::Occupied(place) => found[*place.get()].1.uses += 1,
                    Entry::Vacant(place) => {
                        place.insert(found.len());
                        let (key, media_sequence) = (key(shape, kind, url, range), segment.media_sequence);
                        let duration = segment.duration.filter(|_| matches!(kind, Kind::Segment { .. }));
                        let (url, unique, uses) = (url.clone(), true, 1);
                        let at = if sequence.is_text { Nanos(i64::MIN) } else { at };
                        found.push((
                            at,
                            Wanted { kind, url, range, input, media_sequence, duration, key, unique, uses },
                        ));
                    }
                }
            };
            for key in segment.keys().filter(|key| !sequence.key_given && key.is_supported()) {
                key.location.iter().for_each(|location| add(Kind::Key, location, None));
            }
            if let Some(init) = &segment.init {
                add(Kind::Init { encrypted: init.key.is_some() }, &init.location, init.byte_range);
            }
            // Only a playlist tells that a segment is clear.
            let encrypted = segment.key.is_some() || sequence.key_given;
            let kind = if sequence.is_text { Kind::Text } else { Kind::Segment { encrypted } };
            add(kind, &segment.location, segment.byte_range);
            at = at.plus(segment.duration.unwrap_or_default());
        }
    }
    // The sort is stable: what one sequence needs stays in its order.
    found.sort_by_key(|(at, _)| *at);
    let mut wanted: Vec<Wanted> = found.into_iter().map(|(_, wanted)| wanted).collect();
    let mut counts: HashMap<u128, usize> = HashMap::new();
    wanted.iter().for_each(|w| *counts.entry(w.key).or_default() += 1);
    wanted.iter_mut().for_each(|w| w.unique = counts[&w.key] == 1);
    wanted
}

/// The whole list in one number: paths, ranges, lengths. Two lists of one shape are the same with other tokens.
fn shape(sequences: &[Sequence<'_>]) -> u64 {
    let mut hash = Xxh3::new();
    for sequence in sequences {
        hash.update(&(sequence.segments.len() as u64).to_le_bytes());
        for segment in sequence.segments {
            hash.update(&segment.media_sequence.to_le_bytes());
            hash.update(&segment.duration.unwrap_or_default().0.to_le_bytes());
            hash.update(&[u8::from(segment.discontinuity), u8::from(segment.gap)]);
            if let Location::Http(url) = &segment.location {
                hash.update(without_query(url).as_bytes());
            }
            hash_range(&mut hash, segment.byte_range);
        }
    }
    hash.digest()
}

fn key(shape: u64, kind: Kind, url: &Url, range: Option<ByteRange>) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&shape.to_le_bytes());
    hash.update(&[u8::from(matches!(kind, Kind::Init { .. }))]);
    hash.update(without_query(url).as_bytes());
    hash_range(&mut hash, range);
    hash.digest128()
}

fn hash_range(hash: &mut Xxh3, range: Option<ByteRange>) {
    let ByteRange { offset, length } = range.unwrap_or(ByteRange { offset: 0, length: 0 });
    hash.update(&[u8::from(range.is_some())]);
    hash.update(&offset.to_le_bytes());
    hash.update(&length.to_le_bytes());
}

/// A URL without what expires: user, query and fragment.
pub(crate) fn without_query(url: &Url) -> String {
    let authority = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
    format!("{}://{}:{}{}", url.scheme(), authority.0, authority.1, url.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelToken;
    use crate::playlist::{Base, Playlist, parse};

    fn segments(text: &str) -> Vec<Segment> {
        let base = Base::Url(Url::parse("https://h/v/index.m3u8").unwrap());
        match parse(text.as_bytes(), &base, &crate::options::Limits::default(), &[], &CancelToken::new())
            .unwrap()
            .playlist
        {
            Playlist::Media(media) => media.segments,
            Playlist::Multivariant(_) => panic!("a media playlist"),
        }
    }

    fn of(text: &str) -> Vec<Wanted> {
        wanted(&[Sequence { segments: &segments(text), is_text: false, key_given: false }])
    }

    const KEYED: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:6,\na.m4s?t=1\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x01\n#EXTINF:6,\nb.m4s?t=1\n#EXT-X-GAP\n#EXTINF:6,\nc.m4s\n\
        #EXTINF:6,\na.m4s?t=1\n#EXT-X-ENDLIST\n";

    #[test]
    fn each_resource_is_wanted_once_and_in_order() {
        let names: Vec<_> = of(KEYED).iter().map(|w| (w.kind, w.url.path().to_owned())).collect();
        let clear = Kind::Segment { encrypted: false };
        let expected = [
            (Kind::Init { encrypted: false }, "/v/i.mp4"),
            (clear, "/v/a.m4s"),
            (Kind::Key, "/v/k"),
            (Kind::Segment { encrypted: true }, "/v/b.m4s"),
        ];
        assert_eq!(names, expected.map(|(kind, path)| (kind, path.to_owned())));
        assert_eq!(of(KEYED).iter().map(|w| w.uses).collect::<Vec<_>>(), [3, 2, 2, 1]);
    }

    #[test]
    fn sequences_are_woven_by_their_time() {
        let long = segments("#EXTM3U\n#EXTINF:6,\nv0\n#EXTINF:6,\nv1\n#EXT-X-ENDLIST\n");
        let short = segments("#EXTM3U\n#EXTINF:4,\na0\n#EXTINF:4,\na1\n#EXTINF:4,\na2\n#EXT-X-ENDLIST\n");
        let sequence = |segments| Sequence { segments, is_text: false, key_given: false };
        let paths: Vec<_> =
            wanted(&[sequence(&long), sequence(&short)]).iter().map(|w| w.url.path()[3..].to_owned()).collect();
        assert_eq!(paths, ["v0", "a0", "a1", "v1", "a2"]);
    }

    #[test]
    fn subtitles_come_first() {
        let media = segments("#EXTM3U\n#EXTINF:6,\nv0\n#EXTINF:6,\nv1\n#EXT-X-ENDLIST\n");
        let text = segments("#EXTM3U\n#EXTINF:6,\ns0\n#EXTINF:6,\ns1\n#EXT-X-ENDLIST\n");
        let sequence = |segments, is_text| Sequence { segments, is_text, key_given: false };
        let found = wanted(&[sequence(&media, false), sequence(&text, true)]);
        let found: Vec<_> = found.iter().map(|w| (&w.url.path()[3..], w.input, w.kind == Kind::Text)).collect();
        assert_eq!(found, [("s0", 1, true), ("s1", 1, true), ("v0", 0, false), ("v1", 0, false)]);
    }

    #[test]
    fn a_new_token_keeps_the_keys_and_another_list_does_not() {
        let keys = |text: &str| of(text).iter().map(|w| w.key).collect::<Vec<_>>();
        assert_eq!(keys(KEYED), keys(&KEYED.replace("t=1", "t=2")));
        assert_ne!(of(KEYED)[1].exact(), of(&KEYED.replace("t=1", "t=2"))[1].exact());
        assert_ne!(keys(KEYED)[0], keys(&KEYED.replacen("#EXTINF:6,", "#EXTINF:5.9,", 1))[0]);
    }

    #[test]
    fn paths_that_differ_by_query_alone_are_not_told_by_their_path() {
        let wanted = of("#EXTM3U\n#EXTINF:6,\ns?n=1\n#EXTINF:6,\ns?n=2\n#EXTINF:6,\nt?n=3\n#EXT-X-ENDLIST\n");
        assert_eq!(wanted.iter().map(|w| w.unique).collect::<Vec<_>>(), [false, false, true]);
    }
}
