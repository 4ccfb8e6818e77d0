//! Frames of AC-3 and E-AC-3, as far as a merge must know them (ETSI TS 102 366).

/// Bit rates of AC-3 in kilobits a second, by half of the code for a frame's size.
const BIT_RATES: [usize; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

/// What a frame's head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ac3Frame {
    /// Blocks of 256 samples: six in AC-3, one to six in E-AC-3.
    pub(crate) blocks: u32,
    bytes: usize,
}

impl Ac3Frame {
    /// `None` if the bytes do not begin with a frame, as where a recording begins in the middle of one.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let [0x0b, 0x77, high, low, rate, stream, ..] = *data else { return None };
        let (sample_rate, code) = (rate >> 6, rate & 0x3f);
        if stream >> 3 <= 10 {
            let kilobits = BIT_RATES.get(usize::from(code >> 1))?;
            let bytes = match sample_rate {
                0 => kilobits * 4,
                1 => (kilobits * 1000 * 96 / 44_100 + usize::from(code & 1)) * 2,
                2 => kilobits * 6,
                _ => return None,
            };
            return Some(Self { blocks: 6, bytes });
        }
        let blocks = match (sample_rate, code >> 4) {
            (3, 3) => return None,
            // At the halved rates the bits that tell the number of blocks elsewhere tell the rate.
            (3, _) => 6,
            (_, blocks) => [1, 2, 3, 6][usize::from(blocks & 3)],
        };
        let kind = high >> 6;
        let bytes = ((usize::from(high & 7) << 8 | usize::from(low)) + 1) * 2;
        (stream >> 3 <= 16 && kind != 3).then_some(Self { blocks, bytes })
    }

    /// How many bytes a frame has and those that follow it at once, as far as they are whole; 0 if the first is not: frames
    /// that add channels come with the one they belong to, and a sample of MP4 may hold several short ones.
    pub(crate) fn whole_bytes(data: &[u8]) -> Option<usize> {
        let first = Self::parse(data)?;
        let mut whole = 0;
        let mut next = Some(first);
        while let Some(frame) = next.filter(|frame| whole + frame.bytes <= data.len()) {
            whole += frame.bytes;
            next = Self::parse(&data[whole..]);
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::Ac3Frame;

    #[test]
    fn a_head_tells_blocks_and_bytes() {
        type Case<'a> = (&'a str, &'a [u8], Option<(u32, usize)>);
        let cases: [Case; 11] = [
            ("AC-3, 48 kHz", &[0x0b, 0x77, 0x12, 0x34, 0x1e, 0x40], Some((6, 1792))),
            ("AC-3, 44.1 kHz, padded", &[0x0b, 0x77, 0x12, 0x34, 0x4d, 0x40], Some((6, 418))),
            ("AC-3 of no sample rate", &[0x0b, 0x77, 0x12, 0x34, 0xde, 0x40], None),
            ("AC-3 of no size", &[0x0b, 0x77, 0x12, 0x34, 0x26, 0x40], None),
            ("E-AC-3 of six blocks", &[0x0b, 0x77, 0x01, 0x7f, 0x30, 0x80], Some((6, 768))),
            ("E-AC-3 of three blocks", &[0x0b, 0x77, 0x01, 0x7f, 0x20, 0x80], Some((3, 768))),
            ("E-AC-3 of one block", &[0x0b, 0x77, 0x00, 0x1f, 0x00, 0x80], Some((1, 64))),
            ("E-AC-3 at a halved rate", &[0x0b, 0x77, 0x01, 0x7f, 0xc0, 0x80], Some((6, 768))),
            ("a reserved kind", &[0x0b, 0x77, 0xc1, 0x7f, 0x30, 0x80], None),
            ("the middle of a frame", &[0x77, 0x0b, 0x01, 0x7f, 0x30, 0x80], None),
            ("less than a head", &[0x0b, 0x77, 0x01], None),
        ];
        for (what, data, expected) in cases {
            assert_eq!(Ac3Frame::parse(data).map(|f| (f.blocks, f.bytes)), expected, "{what}");
        }
    }

    #[test]
    fn whole_frames_end_where_what_follows_does_not_belong_to_them() {
        let frame = |kind: u8| [vec![0x0b, 0x77, kind << 6, 0x0f, 0x30, 0x80], vec![0; 26]].concat();
        let (parent, child, torn) = (frame(0), frame(1), vec![1; 20]);
        assert_eq!(Ac3Frame::whole_bytes(&parent), Some(32));
        assert_eq!(Ac3Frame::whole_bytes(&[&parent[..], &child].concat()), Some(64));
        assert_eq!(Ac3Frame::whole_bytes(&[&parent[..], &child[..20]].concat()), Some(32));
        assert_eq!(Ac3Frame::whole_bytes(&[&parent[..], &torn].concat()), Some(32));
        assert_eq!(Ac3Frame::whole_bytes(&parent[..20]), Some(0));
        assert_eq!(Ac3Frame::whole_bytes(&torn), None);
    }
}
