//! A second of real media, taken apart: what the input of a bench is made of.

use std::collections::BTreeMap;

use avweld::{Error, ErrorKind, Result};

/// A TS packet's length.
pub(super) const PACKET: usize = 188;

/// A second of H.264 at 25 frames a second and of AAC at 48 kHz, beginning with a key frame, no frame of it before another
/// that it needs.
static SAMPLE: &[u8] = include_bytes!("../../../../fixtures/ts-h264-aac/index0.ts");

/// The sample's parts.
pub(super) struct Sample {
    /// PAT and PMT, each a whole packet.
    pub(super) tables: Vec<[u8; PACKET]>,
    pub(super) video_pid: u16,
    pub(super) audio_pid: u16,
    /// Access units in the order they are decoded, each with how long after that it is shown, in ticks.
    pub(super) pictures: Vec<(Vec<u8>, u64)>,
    /// ADTS frames.
    pub(super) sounds: Vec<Vec<u8>>,
}

/// Ticks of 90 kHz that a picture is shown for.
pub(super) const PICTURE_TICKS: u64 = 3600;
/// Ticks of 90 kHz of 1024 samples.
pub(super) const SOUND_TICKS: u64 = 1920;

impl Sample {
    /// Takes it apart.
    ///
    /// # Errors
    /// `Internal`: the sample is not what this code was written for.
    pub(super) fn take_apart() -> Result<Self> {
        Self::of(SAMPLE).ok_or_else(|| Error::new(ErrorKind::Internal, "the sample for a bench cannot be read"))
    }

    fn of(sample: &[u8]) -> Option<Self> {
        let mut tables = BTreeMap::new();
        let mut payloads: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
        let (mut pmt, mut video_pid, mut audio_pid) = (None, None, None);
        for packet in sample.as_chunks::<PACKET>().0 {
            let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            let begins = packet[1] & 0x40 != 0;
            let start = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
            let payload = packet.get(start..)?;
            if pid == 0 {
                // One programme, and a table of one packet: number and PID follow its header of eight bytes.
                let program = payload.get(1..)?.get(8..12)?;
                pmt = Some(u16::from_be_bytes([program[2] & 0x1f, program[3]]));
            } else if Some(pid) == pmt {
                for (kind, pid) in streams(payload.get(1..)?)? {
                    match kind {
                        0x1b => video_pid = Some(pid),
                        0x0f => audio_pid = Some(pid),
                        _ => {}
                    }
                }
            }
            if pid == 0 || Some(pid) == pmt {
                tables.entry(pid).or_insert(*packet);
            } else if begins {
                payloads.entry(pid).or_default().push(payload.to_vec());
            } else if let Some(last) = payloads.get_mut(&pid).and_then(|all| all.last_mut()) {
                last.extend_from_slice(payload);
            }
        }
        let (video_pid, audio_pid) = (video_pid?, audio_pid?);
        let pictures = payloads.get(&video_pid)?.iter().map(|pes| picture(pes)).collect::<Option<Vec<_>>>()?;
        let mut sounds = Vec::new();
        for pes in payloads.get(&audio_pid)? {
            sounds.extend(frames(elementary(pes)?));
        }
        let whole = tables.len() == 2 && !pictures.is_empty() && !sounds.is_empty();
        whole.then(|| Self { tables: tables.into_values().collect(), video_pid, audio_pid, pictures, sounds })
    }
}

/// Types and PIDs of a PMT's streams.
fn streams(section: &[u8]) -> Option<Vec<(u8, u16)>> {
    let length = 3 + usize::from(u16::from_be_bytes([section.get(1)? & 0x0f, *section.get(2)?]));
    let mut at = 12 + usize::from(u16::from_be_bytes([section.get(10)? & 0x0f, *section.get(11)?]));
    let mut out = Vec::new();
    // A checksum of four bytes ends it.
    while at + 5 + 4 <= length {
        let entry = section.get(at..at + 5)?;
        out.push((entry[0], u16::from_be_bytes([entry[1] & 0x1f, entry[2]])));
        at += 5 + usize::from(u16::from_be_bytes([entry[3] & 0x0f, entry[4]]));
    }
    Some(out)
}

/// What a PES packet holds.
fn elementary(pes: &[u8]) -> Option<&[u8]> {
    pes.get(9 + usize::from(*pes.get(8)?)..)
}

fn picture(pes: &[u8]) -> Option<(Vec<u8>, u64)> {
    let pts = ticks(pes.get(9..14)?);
    let dts = if pes.get(7)? & 0x40 != 0 { ticks(pes.get(14..19)?) } else { pts };
    Some((elementary(pes)?.to_vec(), pts.checked_sub(dts)?))
}

/// A timestamp of a PES header's five bytes.
fn ticks(field: &[u8]) -> u64 {
    let high = u64::from(field[0] >> 1 & 7) << 30;
    let middle = u64::from(u16::from_be_bytes([field[1], field[2]]) >> 1) << 15;
    high | middle | u64::from(u16::from_be_bytes([field[3], field[4]]) >> 1)
}

/// The whole ADTS frames of a stretch of bytes.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(&[_, _, _, a, b, c, _]) = bytes.first_chunk::<7>() {
        let length = usize::from(a & 3) << 11 | usize::from(b) << 3 | usize::from(c >> 5);
        let Some((frame, rest)) = bytes.split_at_checked(length).filter(|_| length >= 7) else { break };
        out.push(frame.to_vec());
        bytes = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    // No `use`: the benches have this file too, and no tests in it.

    #[test]
    fn the_sample_is_a_second_that_begins_with_a_key_frame() {
        let sample = super::Sample::take_apart().expect("the sample");
        assert_eq!((sample.pictures.len(), sample.sounds.len()), (25, 45));
        let key = |unit: &[u8]| unit.windows(4).any(|w| w[..3] == [0, 0, 1] && w[3] & 31 == 5);
        let keys: Vec<bool> = sample.pictures.iter().map(|(unit, _)| key(unit)).collect();
        assert!(keys[0] && !keys[1..].contains(&true), "{keys:?}");
        assert!(sample.pictures.iter().all(|(_, delay)| *delay == 2 * super::PICTURE_TICKS));
        assert!(sample.sounds.iter().all(|frame| frame[..2] == [0xff, 0xf1]));
    }

    #[test]
    fn what_is_cut_short_is_refused_without_a_panic() {
        for length in [0, 1, super::PACKET, 2 * super::PACKET, 2 * super::PACKET + 100] {
            assert!(super::Sample::of(&super::SAMPLE[..length]).is_none(), "{length} bytes");
        }
    }
}
