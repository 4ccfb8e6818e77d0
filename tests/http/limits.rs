//! Input without end or measure: refused in little time and memory, and the limit is named.

use std::io::Write;
use std::time::Duration;

use flate2::{Compression, FlushCompress};

use crate::fault::{Answer, Site, answer};
use crate::media::playlist;
use crate::reply::Reply;
use crate::run::{BAD_DATA, UNSUPPORTED, each, refused};

/// Builds without optimisation are many times slower than what is released.
const TIME: Duration = if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_secs(2) };
const PEAK_MIB: u64 = 150;

/// 1 GiB of zeros, or of what else is repeated, in about 1 MB of gzip.
fn bomb() -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // A block that ends at a byte's border and refers to nothing before it may be repeated.
    let mut compress = flate2::Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 16);
    compress.compress_vec(&[b'\n'; 1 << 20], &mut block, FlushCompress::Full).unwrap();
    for _ in 0..1024 {
        out.extend_from_slice(&block);
    }
    assert!(out.len() < 2 << 20, "{} bytes", out.len());
    out
}

fn endless(piece: &'static [u8]) -> Answer {
    answer(move |_, _| Reply::new(200, piece.repeat((64 << 10) / piece.len() + 1)).endless())
}

fn text(text: String) -> Answer {
    answer(move |_, _| Reply::new(200, text.clone().into_bytes()))
}

fn encoded(name: &'static str, bytes: Vec<u8>) -> Answer {
    answer(move |_, _| Reply::new(200, bytes.clone()).header("Content-Encoding", name))
}

#[test]
fn the_bomb_is_one() {
    let mut inflated = Vec::new();
    let mut decoder = flate2::write::GzDecoder::new(&mut inflated);
    decoder.write_all(&bomb()[..20_000]).unwrap();
    drop(decoder);
    assert!(inflated.len() > 1 << 20, "{}", inflated.len());
}

#[test]
fn playlists_beyond_all_measure_are_refused_by_name_of_the_limit() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n";
    let variants = "#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo.m3u8\n".repeat(10_000);
    let rows: [(&str, Answer); 8] = [
        ("a million segments", text(format!("{head}{}", "#EXTINF:1,\na.ts\n".repeat(1_000_000)))),
        ("100 MB", text(format!("{head}{}", "# a comment of 32 bytes in a row\n".repeat(3_000_000)))),
        ("a line of a megabyte", text(format!("{head}#EXTINF:1,\n{}\n", "a".repeat(1 << 20)))),
        ("ten thousand variants", text(format!("#EXTM3U\n{variants}"))),
        ("a gibibyte of gzip", encoded("gzip", bomb())),
        ("without end", endless(b"#EXTM3U\n")),
        ("one line without end", endless(b"#EXTM3U")),
        ("zeros without end", endless(b"\0")),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(name, body)| {
        let server = Site::new().always("/index.m3u8", body).start();
        // Zeros are no playlist: to see that is as good as to see the limit.
        let code = if name.starts_with("zeros") { None } else { Some(UNSUPPORTED) };
        let outcome = match code {
            Some(code) => {
                let outcome = refused(code, server.url("/index.m3u8"), &[]);
                assert_eq!(outcome.report["error"]["kind"], "limit", "{outcome:#?}");
                outcome
            }
            None => {
                let outcome = crate::run::merge(&crate::sandbox::Sandbox::new(), server.url("/index.m3u8"), &[]);
                assert!(matches!(outcome.code, Some(BAD_DATA | UNSUPPORTED)), "{outcome:#?}");
                outcome
            }
        };
        let peak = outcome.peak_bytes >> 20;
        println!("{name}: {:?}, {peak} MiB", outcome.took);
        assert!(outcome.took < TIME, "{name} took {:?}", outcome.took);
        assert!(peak <= PEAK_MIB, "{name} took {peak} MiB");
        assert_eq!(server.requests().len(), 1, "it was asked for again");
    });
}

#[test]
fn a_playlist_that_names_itself_is_refused() {
    let variant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n";
    let server = Site::new().put("/index.m3u8", variant).start();
    let outcome = crate::run::merge(&crate::sandbox::Sandbox::new(), server.url("/index.m3u8"), &[]);
    assert!(matches!(outcome.code, Some(BAD_DATA | UNSUPPORTED)), "{outcome:#?}");
    assert!(server.requests().len() <= 2, "{:#?}", server.requests());
}

#[test]
fn keys_and_init_sections_without_end_are_refused() {
    let key = Site::fixture("aes128").always("/key.bin", endless(b"0123456789abcdef"));
    let init = Site::fixture("fmp4-muxed").always("/index-init.mp4", endless(b"\0\0\0\x08free"));
    let rows = [("key", key, BAD_DATA), ("init section", init, UNSUPPORTED)];
    each(rows.map(|row| (row.0.to_owned(), row)), |(name, site, code)| {
        let server = site.start();
        let outcome = refused(code, server.url("/index.m3u8"), &["--retries", "0"]);
        println!("{name}: {:?}, {} MiB", outcome.took, outcome.peak_bytes >> 20);
        assert_eq!(
            outcome.words().matches(&format!("{name} http")).count(),
            2,
            "named once, in the report and to people: {outcome:#?}"
        );
        assert!(outcome.took < TIME && outcome.peak_bytes >> 20 <= PEAK_MIB, "{outcome:#?}");
    });
}

#[test]
fn byte_ranges_beyond_all_numbers_are_refused() {
    let rows = [
        "#EXT-X-BYTERANGE:18446744073709551615@1",
        "#EXT-X-BYTERANGE:9@18446744073709551615",
        "#EXT-X-BYTERANGE:18446744073709551615@18446744073709551615",
        "#EXT-X-BYTERANGE:99999999999999999999@0",
        "#EXT-X-BYTERANGE:-5@0",
        "#EXT-X-BYTERANGE:0@0",
        "#EXT-X-BYTERANGE:1000000000@0",
        "#EXT-X-BYTERANGE:10",
    ];
    each(rows.map(|line| (line.to_owned(), line)), |line| {
        let text = playlist(&["#EXTINF:1,", line, "all.ts"]);
        let server = Site::fixture("ts-byterange").put("/index.m3u8", text).start();
        let sandbox = crate::sandbox::Sandbox::new();
        let outcome = crate::run::merge(&sandbox, server.url("/index.m3u8"), &["--retries", "0"]);
        assert!(matches!(outcome.code, Some(BAD_DATA | UNSUPPORTED)), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
        for request in server.requests_of("/all.ts") {
            assert_ne!(request.header("Range"), None, "the whole file was asked for: {request:#?}");
        }
    });
}
