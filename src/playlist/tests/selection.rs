use super::*;
use crate::options::{AudioChoice, SubtitleChoice, VariantChoice};

const LADDER: &str = "#EXTM3U\n\
    #EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS=\"mp4a.40.2\"\n0.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\n1.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720\n2.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720\n3.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720\n4.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1500000,CODECS=\"mp4a.40.2,avc1.4d401f\"\n5.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS=\"mp4a.40.5\"\n6.m3u8\n";

#[track_caller]
fn selected(text: &str, choice: VariantChoice) -> usize {
    let (playlist, _) = multivariant(text);
    let variant = select_variant(&playlist, &choice).expect("a variant");
    playlist.variants.iter().position(|v| std::ptr::eq(v, variant)).expect("one of them")
}

#[test]
fn variants_are_chosen() {
    for (choice, index) in [
        (VariantChoice::Best, 3),
        (VariantChoice::Worst, 1),
        (VariantChoice::Height(720), 3),
        (VariantChoice::Height(1080), 3),
        (VariantChoice::Height(719), 1),
        (VariantChoice::Height(100), 1),
        (VariantChoice::Kbps(2500), 2),
        (VariantChoice::Kbps(1999), 5),
        (VariantChoice::Kbps(100), 1),
        (VariantChoice::Kbps(u64::MAX), 3),
        (VariantChoice::Index(6), 6),
    ] {
        assert_eq!(selected(LADDER, choice.clone()), index, "{choice:?}");
    }
}

#[test]
fn audio_alone_is_chosen_where_there_is_nothing_else() {
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5,CODECS=\"mp4a.40.2\"\n0.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=6,CODECS=\"ec-3\"\n1.m3u8\n";
    assert_eq!(selected(text, VariantChoice::Best), 1);
    assert_eq!(selected(text, VariantChoice::Worst), 0);
    let (playlist, _) = multivariant(text);
    let error = select_variant(&playlist, &VariantChoice::Height(720)).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn an_index_too_high_lists_what_there_is() {
    let (playlist, _) = multivariant("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720\n0.m3u8\n");
    let error = select_variant(&playlist, &VariantChoice::Index(1)).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.to_string(), "there is no variant 1; choose one by its index: 0 (1280x720, 2000 kbit/s)");
}

/// A variant with a group of audio renditions, each written `NAME LANGUAGE FLAGS`; `-` in the flags: no URI.
fn audio(renditions: &[&str], choice: AudioChoice) -> Result<Vec<String>> {
    let mut text =
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"other\",NAME=\"x\",LANGUAGE=\"en\",URI=\"x.m3u8\"\n".to_owned();
    for rendition in renditions {
        let mut parts = rendition.split(' ');
        let (name, language, flags) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        text.push_str(&format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"{name}\",LANGUAGE=\"{language}\""));
        for (flag, attribute) in [('d', ",DEFAULT=YES"), ('a', ",AUTOSELECT=YES")] {
            text.push_str(if flags.contains(flag) { attribute } else { "" });
        }
        text.push_str(if flags.contains('-') { "\n" } else { ",URI=\"a.m3u8\"\n" });
    }
    text.push_str("#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"g\"\nv.m3u8\n");
    let (playlist, _) = multivariant(&text);
    let chosen = select_audio(&playlist, &playlist.variants[0], &choice)?;
    Ok(chosen.into_iter().map(|r| r.name.clone()).collect())
}

#[test]
fn audio_renditions_are_chosen() {
    let all = ["A de a", "B en-US d", "C en", "D fr -"];
    for (renditions, choice, names) in [
        (&all[..], AudioChoice::Default, &["B"][..]),
        (&["A de", "B en a"], AudioChoice::Default, &["B"]),
        (&["A de", "B en"], AudioChoice::Default, &["A"]),
        // The default one is in the variant's own segments.
        (&["A de d-", "B en a"], AudioChoice::Default, &[]),
        (&all, AudioChoice::All, &["A", "B", "C"]),
        (&all, AudioChoice::None, &[]),
        (&all, AudioChoice::Language("EN".to_owned()), &["B", "C"]),
        (&all, AudioChoice::Language("en-us".to_owned()), &["B"]),
        (&all, AudioChoice::Language("fr".to_owned()), &[]),
    ] {
        assert_eq!(audio(renditions, choice.clone()).expect("a choice"), names, "{choice:?}");
    }
}

#[test]
fn a_language_that_is_not_there_is_an_error() {
    let error = audio(&["A de", "B en-US"], AudioChoice::Language("e".to_owned())).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.to_string(), "no audio in the language \"e\"; there are: de, en-US");
}

const SUBTITLES: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"other\",NAME=\"X\",LANGUAGE=\"it\",DEFAULT=YES,URI=\"x.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"A\",LANGUAGE=\"de\",AUTOSELECT=YES,URI=\"a.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"B\",LANGUAGE=\"en-GB\",DEFAULT=YES,URI=\"b.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"C\",LANGUAGE=\"en\",FORCED=YES,URI=\"c.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES=\"s\"\nv.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2\nw.m3u8\n";

fn subtitles(variant: usize, choice: SubtitleChoice) -> Result<Vec<String>> {
    let (playlist, _) = multivariant(SUBTITLES);
    let chosen = select_subtitles(&playlist, &playlist.variants[variant], &choice)?;
    Ok(chosen.into_iter().map(|r| r.name.clone()).collect())
}

#[test]
fn subtitle_renditions_are_chosen() {
    for (variant, choice, names) in [
        (0, SubtitleChoice::Default, &["B"][..]),
        (0, SubtitleChoice::All, &["A", "B", "C"]),
        (0, SubtitleChoice::None, &[]),
        (0, SubtitleChoice::Language("en".to_owned()), &["B", "C"]),
        (1, SubtitleChoice::All, &[]),
    ] {
        assert_eq!(subtitles(variant, choice.clone()).expect("a choice"), names, "{choice:?}");
    }
}

#[test]
fn subtitles_in_a_language_that_is_not_there_are_an_error() {
    let error = subtitles(0, SubtitleChoice::Language("fr".to_owned())).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.to_string(), "no subtitles in the language \"fr\"; there are: de, en, en-GB");
    let error = subtitles(1, SubtitleChoice::Language("fr".to_owned())).expect_err("an error");
    assert_eq!(
        error.to_string(),
        "no subtitles in the language \"fr\"; the variant names no subtitles with a language"
    );
}
