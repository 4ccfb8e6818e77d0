//! Sample tables made by hand, joined.

use crate::mux::tables::{Span, Tables};

fn number(bytes: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*bytes)
}

fn table(head: &[u32], entries: &[u32]) -> Vec<u8> {
    [&[0], head, entries].concat().iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// A portion of four samples in two chunks, the first at `at`.
fn portion(at: u32) -> Vec<([u8; 4], Vec<u8>)> {
    vec![
        (*b"stts", table(&[2], &[3, 10, 1, 7])),
        (*b"stsc", table(&[1], &[1, 2, 1])),
        (*b"stsz", table(&[5, 4], &[])),
        (*b"stco", table(&[2], &[at, at + 10])),
    ]
}

fn join(tables: &mut Tables, boxes: &[([u8; 4], Vec<u8>)], keys: u32, first_dts: i64) -> Result<(), String> {
    let boxes: Vec<_> = boxes.iter().map(|(kind, body)| (*kind, &body[..])).collect();
    let span = Span { packets: 4, keys, first_dts, last_dts: first_dts + 30, end: 0 };
    tables.join(&boxes, span)
}

fn written(tables: &Tables) -> Vec<(String, Vec<u32>)> {
    let mut bytes = Vec::new();
    tables.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, tables.size());
    let (mut boxes, mut rest) = (Vec::new(), &bytes[..]);
    while !rest.is_empty() {
        let (one, after) = rest.split_at(number(rest.first_chunk().unwrap()) as usize);
        let numbers = one[12..].as_chunks().0.iter().map(number).collect();
        boxes.push((String::from_utf8_lossy(&one[4..8]).into_owned(), numbers));
        rest = after;
    }
    boxes
}

#[test]
fn the_tables_of_two_portions_become_one() {
    let mut tables = Tables::new(true, false);
    join(&mut tables, &portion(100), 4, 0).unwrap();
    let mut second = portion(200);
    second[2].1 = table(&[0, 4], &[5, 6, 5, 5]);
    second.extend([(*b"ctts", table(&[1], &[4, 20])), (*b"stss", table(&[2], &[1, 3]))]);
    join(&mut tables, &second, 2, 45).unwrap();
    let expected = [
        // The last sample of the first portion lasts until the second begins.
        ("stts", vec![4, 3, 10, 1, 15, 3, 10, 1, 7]),
        ("stss", vec![6, 1, 2, 3, 4, 5, 7]),
        ("ctts", vec![2, 4, 0, 4, 20]),
        ("stsc", vec![1, 1, 2, 1]),
        ("stsz", vec![0, 8, 5, 5, 5, 5, 5, 6, 5, 5]),
        ("stco", vec![4, 100, 110, 200, 210]),
    ];
    assert_eq!(written(&tables), expected.map(|(kind, numbers)| (kind.to_owned(), numbers)));
    assert_eq!((tables.duration(), tables.media_bytes()), (82, 41));
}

#[test]
fn sync_samples_are_listed_where_some_are_and_some_are_not() {
    for (video, first, second, listed) in [
        (true, 4, 4, None),
        (true, 0, 0, None),
        (true, 4, 0, Some(vec![4, 1, 2, 3, 4])),
        (true, 0, 4, Some(vec![4, 5, 6, 7, 8])),
        (false, 4, 0, None),
        (false, 3, 4, None),
    ] {
        let mut tables = Tables::new(video, false);
        join(&mut tables, &portion(100), first, 0).unwrap();
        join(&mut tables, &portion(200), second, 40).unwrap();
        let found = written(&tables).into_iter().find(|(kind, _)| kind == "stss").map(|(_, numbers)| numbers);
        assert_eq!(found, listed, "{video} {first} {second}");
    }
}

#[test]
fn chunks_far_into_the_file_have_places_of_64_bits_all_of_them() {
    let mut tables = Tables::new(true, false);
    join(&mut tables, &portion(100), 4, 0).unwrap();
    let mut far = portion(0);
    far[3] = (*b"co64", table(&[2], &[1, 0, 1, 10]));
    join(&mut tables, &far, 4, 40).unwrap();
    tables.move_chunks(1000).unwrap();
    let co64 = ("co64".to_owned(), vec![4, 0, 1100, 0, 1110, 1, 1000, 1, 1010]);
    assert_eq!(written(&tables).last(), Some(&co64));
}

#[test]
fn what_cannot_be_joined_is_told() {
    let with = |boxes: &[([u8; 4], Vec<u8>)]| [portion(100), boxes.to_vec()].concat();
    let cases = [
        (with(&[(*b"cslg", Vec::new())]), "a box `cslg`, which is not known"),
        (with(&[(*b"ctts", table(&[2], &[4, 20]))]), "a box `ctts` that is not as expected"),
        (with(&[(*b"ctts", table(&[1], &[5, 20]))]), "[4, 5, 4] samples by its tables, where 4 were written"),
        (with(&[(*b"stss", vec![1, 0, 0, 0, 0, 0, 0, 0])]), "a box `stss` that is not as expected"),
        (with(&[(*b"sbgp", table(&[u32::from_be_bytes(*b"roll"), 1], &[4, 1]))]), "a sample group that is missing"),
    ];
    for (boxes, message) in cases {
        assert_eq!(join(&mut Tables::new(true, false), &boxes, 4, 0), Err(message.to_owned()));
    }
    let mut tables = Tables::new(true, false);
    assert_eq!(join(&mut tables, &portion(100), 3, 0), Err("no list of its key pictures".to_owned()));
    let mut tables = Tables::new(true, false);
    join(&mut tables, &portion(100), 4, 0).unwrap();
    assert_eq!(join(&mut tables, &portion(200), 4, 29), Err("decoding times that go back".to_owned()));
}
