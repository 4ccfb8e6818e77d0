//! Bodies that were packed for the way (RFC 9110, 8.4), unpacked within a limit.

use std::io::{self, Read, sink};

use brotli_decompressor::{BrotliDecoderParameter, Decompressor};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::error::{Error, ErrorKind, Result};

/// What [`decode`] can undo, as `Accept-Encoding` says it.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// No body is packed more often.
const MOST_LAYERS: usize = 3;
/// The largest window that zstd may have in HTTP (RFC 9659).
const ZSTD_WINDOW_BYTES: u64 = 8 << 20;
const BUFFER_BYTES: usize = 16 << 10;

/// Undoes what `Content-Encoding` names. An empty body stays one.
///
/// # Errors
///
/// [`ErrorKind::Limit`] if the body is larger than `limit` bytes at any stage, or its window larger than HTTP allows,
/// [`ErrorKind::Unsupported`] for an encoding that is not known, [`ErrorKind::Playlist`] for a body that is broken
/// or cut short.
pub(crate) fn decode(content_encoding: &str, body: Vec<u8>, limit: usize) -> Result<Vec<u8>> {
    if body.len() > limit {
        return Err(too_large(limit));
    }
    let names = content_encoding.split(',').map(str::trim);
    let names: Vec<String> =
        names.filter(|n| !n.is_empty()).map(str::to_ascii_lowercase).take(MOST_LAYERS + 1).collect();
    if names.len() > MOST_LAYERS {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the body is packed more than {MOST_LAYERS} times over"),
        ));
    }
    // The last one named was the last one applied.
    names.iter().rev().try_fold(body, |body, name| unpack(name, body, limit))
}

fn unpack(name: &str, body: Vec<u8>, limit: usize) -> Result<Vec<u8>> {
    let packed = body.as_slice();
    let mut reader: Box<dyn Read + '_> = match name {
        "identity" => return Ok(body),
        "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(packed)),
        // What HTTP calls deflate has zlib's header; some servers leave it out.
        "deflate" if has_zlib_header(packed) => Box::new(ZlibDecoder::new(packed)),
        "deflate" => Box::new(DeflateDecoder::new(packed)),
        "br" => {
            let mut decoder = Decompressor::new(packed, BUFFER_BYTES);
            // Else a header of two bytes may ask for a window of 1 GiB.
            decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
            Box::new(decoder)
        }
        "zstd" => Box::new(ZstdReader::new(packed)),
        _ => {
            let name: String = name.chars().take(40).collect();
            return Err(Error::new(ErrorKind::Unsupported, format!("the body is packed as \"{name}\""))
                .with_hint(format!("avweld knows {ACCEPTED}")));
        }
    };
    if packed.is_empty() {
        return Ok(Vec::new());
    }
    let mut plain = Vec::new();
    let most = (limit as u64).saturating_add(1);
    reader.by_ref().take(most).read_to_end(&mut plain).map_err(|e| match e.downcast::<Error>() {
        Ok(error) => error,
        Err(e) => {
            Error::new(ErrorKind::Playlist, format!("the body is broken or cut short, packed as {name}")).with_source(e)
        }
    })?;
    if plain.len() > limit { Err(too_large(limit)) } else { Ok(plain) }
}

fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::Limit, format!("the body is larger than {limit} bytes"))
}

/// RFC 1950, 2.2.
fn has_zlib_header(packed: &[u8]) -> bool {
    matches!(packed, [cmf, flags, ..] if cmf & 0xf == 8 && u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31))
}

/// Frames of zstd one after another, and those to skip (RFC 8878, 3.1).
struct ZstdReader<'a> {
    packed: &'a [u8],
    decoder: FrameDecoder,
}

impl<'a> ZstdReader<'a> {
    fn new(packed: &'a [u8]) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES);
        Self { packed, decoder }
    }

    /// Of the frame that was read, if it has one.
    fn check_sum(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if Some(sum) != self.decoder.get_calculated_checksum() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "wrong checksum"))
            }
            _ => Ok(()),
        }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.packed) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut self.packed.by_ref().take(length), &mut sink())?;
                if skipped < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
            Err(FrameDecoderError::WindowSizeTooBig { max, .. }) => {
                let message = format!("the body's zstd window is larger than {max} bytes");
                Err(io::Error::other(Error::new(ErrorKind::Limit, message)))
            }
            other => other.map_err(io::Error::other),
        }
    }
}

impl Read for ZstdReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Between two frames, and before the first, the decoder is finished and empty.
        while self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.packed, one).map_err(io::Error::other)?;
            } else {
                self.check_sum()?;
                if self.packed.is_empty() {
                    return Ok(0);
                }
                self.next_frame()?;
            }
        }
        self.decoder.read(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;
    use std::io::Write;

    const LIMIT: usize = 1 << 20;
    /// [`playlist`] as the brotli and zstd programs pack it.
    const BROTLI: &str = "1b1802709d0776c3cbb1c61bb18e374d1323547ace8dd0b542911316731bf5a57e63bf4f16c160d32a3b43181e584c430b\
        2c0d4b28bcf0d3c1ecb20b4e2e393df9bbfeb1180fe05e3f469e66784e7b06176689109ea898b884a49434e932be54202523a7a0a4a2463d\
        c6c1b035251701";
    const ZSTD: &str = "28b52ffd6419016d0300c204121780e9010618bcb9c1a18f1cb8c16e619322b89b11000b01e68f4a4c4b3b377caeb1a51242f0b9\
        c6964a48598e7782282670f7b3a260eb8ad6a82f2f9e4f872bbf731bac8acf140816a810e0d9f51da0975a031018231af13711eb01ab27ca\
        8b747bdc7e47ecedcac092cd100888";

    fn playlist() -> Vec<u8> {
        let segments: String = (0..20).map(|i| format!("#EXTINF:4.000,\nseg-{i}.ts\n")).collect();
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{segments}#EXT-X-ENDLIST\n").into_bytes()
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(plain: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn packed() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("gzip", gzip(&playlist())),
            ("deflate", zlib(&playlist())),
            ("deflate", deflate(&playlist())),
            ("br", hex::decode(BROTLI).unwrap()),
            ("zstd", hex::decode(ZSTD).unwrap()),
        ]
    }

    fn kind(encoding: &str, body: &[u8]) -> ErrorKind {
        decode(encoding, body.to_vec(), LIMIT).unwrap_err().kind()
    }

    #[test]
    fn each_encoding_gives_the_body_back() {
        for (name, body) in packed() {
            assert_eq!(decode(name, body, LIMIT).unwrap(), playlist(), "{name}");
            assert_eq!(decode(name, Vec::new(), LIMIT).unwrap(), [], "{name}");
        }
        for name in ["", "identity", " Identity ,", "identity, identity"] {
            assert_eq!(decode(name, playlist(), LIMIT).unwrap(), playlist());
        }
        assert_eq!(decode("X-GZIP", gzip(b"a"), LIMIT).unwrap(), b"a");
        let twice = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(decode("gzip", twice, LIMIT).unwrap(), b"ab");
    }

    #[test]
    fn several_encodings_are_undone_from_the_last() {
        let body = deflate(&gzip(&hex::decode(BROTLI).unwrap()));
        assert_eq!(decode("br, gzip,deflate", body.clone(), LIMIT).unwrap(), playlist());
        assert_eq!(kind("deflate, gzip, br", &body), ErrorKind::Playlist);
        assert_eq!(kind("gzip, gzip, gzip, gzip", &body), ErrorKind::Unsupported);
        assert_eq!(kind(&"gzip,".repeat(100_000), &body), ErrorKind::Unsupported);
    }

    #[test]
    fn frames_of_zstd_follow_one_another_and_some_are_skipped() {
        let frame = hex::decode(ZSTD).unwrap();
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let body = [&skipped[..], &frame, &skipped, &frame].concat();
        assert_eq!(decode("zstd", body, LIMIT).unwrap(), playlist().repeat(2));
        assert_eq!(kind("zstd", &skipped[..10]), ErrorKind::Playlist);
    }

    #[test]
    fn what_is_cut_or_broken_is_refused() {
        for (name, body) in packed() {
            for length in 1..body.len() {
                assert_eq!(kind(name, &body[..length]), ErrorKind::Playlist, "{name} cut at {length}");
            }
        }
        for name in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(kind(name, &playlist()), ErrorKind::Playlist, "{name}");
        }
        let mut wrong_sum = hex::decode(ZSTD).unwrap();
        *wrong_sum.last_mut().unwrap() ^= 1;
        assert_eq!(kind("zstd", &wrong_sum), ErrorKind::Playlist);
    }

    #[test]
    fn an_encoding_that_is_not_known_is_named_in_one_short_line() {
        let error = decode(&format!("sdch\n{}", "x".repeat(5000)), playlist(), LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains("\"sdch\\nxxx") && text.len() < 200, "{text}");
    }

    #[test]
    fn the_limit_holds_to_the_byte_and_at_each_stage() {
        for (name, body) in packed() {
            let size = playlist().len();
            assert_eq!(decode(name, body.clone(), size).unwrap().len(), size, "{name}");
            let error = decode(name, body, size - 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit, "{name}");
            assert!(error.to_string().contains("536 bytes"), "{error}");
        }
        assert_eq!(decode("", playlist(), 500).unwrap_err().kind(), ErrorKind::Limit);
        // What comes out is small, and what it comes through is not.
        let body = gzip(&gzip(&[0; 4 << 20])[..100].repeat(20_000));
        assert_eq!(kind("gzip, gzip", &body), ErrorKind::Limit);
    }

    /// A gzip body of about 1 MB that inflates to 1 GiB, if one lets it.
    fn gzip_bomb() -> Vec<u8> {
        let mut compress = Compress::new(Compression::best(), false);
        let mut megabyte = Vec::with_capacity(64 << 10);
        compress.compress_vec(&[0; 1 << 20], &mut megabyte, FlushCompress::Full).unwrap();
        assert_eq!(compress.total_in(), 1 << 20);
        let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        (0..1024).for_each(|_| bomb.extend_from_slice(&megabyte));
        // An empty last block, and the checks that are never come to.
        bomb.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0x40]);
        bomb
    }

    #[test]
    fn a_gibibyte_in_a_megabyte_ends_at_the_limit() {
        let bomb = gzip_bomb();
        assert!((900_000..1_300_000).contains(&bomb.len()), "{} bytes", bomb.len());
        let error = decode("gzip", bomb.clone(), 32 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("33554432 bytes"), "{error}");
        assert_eq!(decode("deflate", bomb[10..].to_vec(), 32 << 20).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(kind("gzip, gzip", &gzip(&bomb)), ErrorKind::Limit);
    }

    #[test]
    fn a_bomb_of_brotli_or_zstd_ends_at_the_limit() {
        // 64 MiB of zeros.
        let brotli = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500ba\
            f77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcbffff3ffc1300715800a07bff07";
        assert_eq!(decode("br", hex::decode(brotli).unwrap(), 64 << 20).unwrap(), vec![0; 64 << 20]);
        assert_eq!(kind("br", &hex::decode(brotli).unwrap()), ErrorKind::Limit);

        // A window of 8 MiB, and as many blocks as there are bytes for that repeat one byte 128 Ki times.
        let mut zstd = hex::decode("28b52ffd0068").unwrap();
        (0..8192).for_each(|_| zstd.extend([2, 0, 0x10, 7]));
        assert_eq!(decode("zstd", zstd, 32 << 20).unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_window_larger_than_http_allows_is_refused_before_it_is_made() {
        // zstd: 16 MiB and 16 GiB by the window's own byte, 2^60 bytes in a single segment.
        for head in ["28b52ffd0070", "28b52ffd00c0", "28b52ffde00000000000000010"] {
            let body = [hex::decode(head).unwrap(), vec![0; 100]].concat();
            assert_eq!(kind("zstd", &body), ErrorKind::Limit, "{head}");
        }
        // brotli: the playlist with a window of 1 GiB, which only its extension knows.
        let body =
            hex::decode("115e6008c0751ed80d2fc71a6fc43ade344d8c50e9393742d70a454e58cc6dd497fa8dfd3e590483").unwrap();
        assert_eq!(kind("br", &body), ErrorKind::Playlist);
    }

    proptest! {
        /// One damaged byte or several: an error or a body, and no panic.
        #[test]
        fn damage_is_survived(which in 0usize..5, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let (name, mut body) = packed().swap_remove(which);
            for (at, byte) in damage {
                *at.get_mut(&mut body) = byte;
            }
            if let Ok(plain) = decode(name, body, LIMIT) {
                prop_assert!(plain.len() <= LIMIT);
            }
        }

        #[test]
        fn noise_is_survived(name in "gzip|deflate|br|zstd", noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let body = if name == "zstd" { [&[0x28, 0xb5, 0x2f, 0xfd][..], &noise].concat() } else { noise };
            if let Ok(plain) = decode(&name, body, LIMIT) {
                prop_assert!(plain.len() <= LIMIT);
            }
        }
    }
}
