//! TTML and its profile IMSC (W3C): documents moved in time, and many made one.
//!
//! Each document becomes a `div` of the first one's body, with its own styles and regions. Times are rewritten as
//! `HH:MM:SS.mmm`, since frames and ticks mean what each document's head says.

use std::collections::HashSet;

use super::webvtt::show;
use super::xml::{self, Element, Node};
use crate::time::Nanos;

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    root: Element,
    /// The sample that it came in: how long it is shown, where nothing in it says so.
    shown: Option<(Nanos, Nanos)>,
}

/// What times in frames and ticks mean.
#[derive(Debug, Clone, Copy)]
struct Rates {
    frames_per_s: f64,
    ticks_per_s: f64,
}

/// True if bytes begin a TTML document, or an XML document that may be one.
pub(super) fn is_ttml(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && (text.contains("<tt ") || text.contains("<tt>") || text.contains(":tt "))
}

/// Reads a document; on failure tells what is wrong with it.
pub(super) fn parse(text: &str, shown: Option<(Nanos, Nanos)>) -> Result<Document, &'static str> {
    let mut root = xml::parse(text)?;
    if root.local() != "tt" {
        return Err("its root is not tt");
    }
    let rates = Rates::of(&root);
    normalise(&mut root, rates)?;
    Ok(Document { root, shown })
}

impl Rates {
    fn of(root: &Element) -> Self {
        let number = |name: &str| root.attribute(name).and_then(|v| v.trim().parse::<f64>().ok());
        let sound = |value: &f64| value.is_finite() && *value > 0.0;
        let frame_rate = number("frameRate").filter(sound);
        let multiplier = root.attribute("frameRateMultiplier").and_then(|text| {
            let (num, den) = text.trim().split_once([' ', ':'])?;
            Some(num.trim().parse::<f64>().ok()? / den.trim().parse::<f64>().ok()?)
        });
        let frames_per_s = frame_rate.unwrap_or(30.0) * multiplier.filter(sound).unwrap_or(1.0);
        // TTML2, 7.2.13: without a tick rate, ticks are frames where there is a frame rate, and seconds else.
        let ticks_per_s = number("tickRate").filter(sound).or(frame_rate.map(|_| frames_per_s)).unwrap_or(1.0);
        Self { frames_per_s, ticks_per_s }
    }
}

/// A time expression (TTML2, 12.3).
fn time(text: &str, rates: Rates) -> Option<Nanos> {
    let text = text.trim();
    let nanos = |seconds: f64| {
        let nanos = seconds * 1e9;
        (nanos.is_finite() && (0.0..9e18).contains(&nanos)).then_some(Nanos(nanos.round() as i64))
    };
    let number = |text: &str| -> Option<f64> {
        let sound = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        sound.then(|| text.parse().ok())?
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [hours, minutes, seconds] => nanos((number(hours)? * 60.0 + number(minutes)?) * 60.0 + number(seconds)?),
        [hours, minutes, seconds, frames] => nanos(
            (number(hours)? * 60.0 + number(minutes)?) * 60.0 + number(seconds)? + number(frames)? / rates.frames_per_s,
        ),
        [offset] => {
            let unit = offset.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let count = number(&offset[..offset.len() - unit.len()])?;
            nanos(match unit {
                "h" => count * 3600.0,
                "m" => count * 60.0,
                "s" => count,
                "ms" => count / 1000.0,
                "f" => count / rates.frames_per_s,
                "t" => count / rates.ticks_per_s,
                _ => return None,
            })
        }
        _ => None,
    }
}

/// Rewrites all times of an element and what is inside it.
fn normalise(element: &mut Element, rates: Rates) -> Result<(), &'static str> {
    for (name, value) in &mut element.attributes {
        if ["begin", "end", "dur"].contains(&name.as_str()) {
            *value = show(time(value, rates).ok_or("a time in it is malformed")?);
        }
    }
    element.elements_mut().try_for_each(|child| normalise(child, rates))
}

fn own_time(element: &Element, name: &str) -> Option<Nanos> {
    super::webvtt::timestamp(element.attribute(name)?)
}

/// Times inside it count from its own start.
fn is_timed(element: &Element) -> bool {
    let sequence = element.attribute("timeContainer").is_some_and(|value| value.trim() == "seq");
    sequence || ["begin", "end", "dur"].iter().any(|name| element.attribute(name).is_some())
}

/// Start and end of the outermost timed elements.
fn spans(element: &Element, out: &mut Vec<(Nanos, Nanos)>) {
    if !is_timed(element) {
        element.elements().for_each(|child| spans(child, out));
        return;
    }
    let start = own_time(element, "begin").unwrap_or_default();
    let end = own_time(element, "end").or(own_time(element, "dur").map(|dur| start.plus(dur)));
    out.push((start, end.unwrap_or(start).max(start)));
}

/// Moves an element in time; false if it then lies before 0 as a whole.
fn shift(element: &mut Element, by: Nanos) -> bool {
    if !is_timed(element) {
        element.children.retain_mut(|child| match child {
            Node::Element(child) => shift(child, by),
            Node::Text(_) => true,
        });
        return true;
    }
    let (begin, end) = (own_time(element, "begin").unwrap_or_default(), own_time(element, "end"));
    let dur = own_time(element, "dur");
    let moved = begin.plus(by);
    if moved.0 <= 0 && end.or(dur.map(|dur| begin.plus(dur))).is_some_and(|end| end.plus(by).0 <= 0) {
        return false;
    }
    element.set("begin", show(moved));
    if let Some(end) = end {
        element.set("end", show(end.plus(by)));
    }
    // What begins before 0 is cut, not moved as a whole.
    if let Some(dur) = dur.filter(|_| moved.0 < 0) {
        element.set("dur", show(dur.plus(moved)));
    }
    true
}

/// Paragraphs in an element, and itself if it is one.
fn paragraphs(element: &Element) -> u64 {
    let inside: u64 = element.elements().map(paragraphs).sum();
    inside + u64::from(element.local() == "p")
}

fn prefix(name: &str) -> &str {
    &name[..name.len() - xml::local(name).len()]
}

impl Document {
    fn body(&self) -> Option<&Element> {
        self.root.child("body")
    }

    /// Its first time and its last; `None` if it shows nothing, or has no times.
    pub(super) fn span(&self) -> Option<(Nanos, Nanos)> {
        let mut found = Vec::new();
        spans(self.body().filter(|body| paragraphs(body) > 0)?, &mut found);
        let start = found.iter().map(|(start, _)| *start).min();
        start.zip(found.iter().map(|(_, end)| *end).max()).or(self.shown)
    }
}

/// Documents being made one.
#[derive(Default)]
pub(super) struct Merger {
    first: Option<Element>,
    divs: Vec<Element>,
    /// Elements of the first document's head that others add to: `styling` and `layout`.
    styling: Vec<Element>,
    layout: Vec<Element>,
    /// Paragraphs that are there: a cue that lasts over a border comes in both segments.
    seen: HashSet<String>,
    paragraphs: u64,
    added: u64,
}

impl Merger {
    /// Adds a document whose times are moved by so much.
    pub(super) fn add(&mut self, document: &Document, by: Nanos) {
        self.added += 1;
        let mut root = document.root.clone();
        let first = self.first.get_or_insert_with(|| root.clone());
        // What the first document declares need not be declared again.
        let declared: Vec<(String, String)> = root
            .attributes
            .iter()
            .filter(|(name, _)| name.starts_with("xmlns") || ["xml:lang", "xml:space"].contains(&name.as_str()))
            .filter(|attribute| !first.attributes.contains(attribute))
            .cloned()
            .collect();
        let head = root.child("head").cloned();
        let mut renamed: Vec<(String, String)> = Vec::new();
        for (list, name) in [(&mut self.styling, "styling"), (&mut self.layout, "layout")] {
            let inside = head.as_ref().and_then(|head| head.child(name));
            for element in inside.into_iter().flat_map(Element::elements) {
                adopt(list, element, &renamed, self.added, &declared).into_iter().for_each(|r| renamed.push(r));
            }
        }
        let Some(body) = root.elements_mut().find(|e| e.local() == "body") else { return };
        let mut div = std::mem::replace(body, Element::new(String::new()));
        if !has_times(&div)
            && let Some((start, end)) = document.shown
        {
            div.set("begin", show(start));
            div.set("end", show(end));
        }
        if !shift(&mut div, by) {
            return;
        }
        div.name = format!("{}div", prefix(&div.name));
        refer(&mut div, &renamed, self.added > 1);
        for (name, value) in declared {
            if !div.attributes.iter().any(|(n, _)| *n == name) {
                div.attributes.push((name, value));
            }
        }
        let seen = &mut self.seen;
        div.children.retain_mut(|child| keep_new(child, seen));
        let shown = paragraphs(&div);
        if shown > 0 {
            self.paragraphs += shown;
            self.divs.push(div);
        }
    }

    /// The merged document and its number of paragraphs; `None` if none was added.
    pub(super) fn finish(self) -> Option<(String, u64)> {
        let mut root = self.first?;
        let own = prefix(&root.name).to_owned();
        let head = root.child("head").cloned().unwrap_or_else(|| Element::new(format!("{own}head")));
        // TTML2, 8.1.3: metadata, styling, layout, animation.
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for element in head.elements().filter(|e| !["styling", "layout"].contains(&e.local())) {
            if element.local() == "animation" { &mut behind } else { &mut before }.push(element.clone());
        }
        for (children, name) in [(self.styling, "styling"), (self.layout, "layout")] {
            if !children.is_empty() {
                let children = children.into_iter().map(Node::Element).collect();
                before.push(Element { children, ..Element::new(format!("{own}{name}")) });
            }
        }
        let children = before.into_iter().chain(behind).map(Node::Element).collect();
        let head = Element { children, ..head };
        let mut body = Element::new(format!("{own}body"));
        for div in self.divs {
            body.children.push(Node::Text("\n".to_owned()));
            body.children.push(Node::Element(div));
        }
        root.children = vec![Node::Element(head), Node::Element(body)];
        // The times are no longer those of frames, ticks or another clock.
        let stale = ["frameRate", "frameRateMultiplier", "subFrameRate", "tickRate", "timeBase", "dropMode"];
        root.attributes.retain(|(name, _)| !(name.contains(':') && stale.contains(&xml::local(name))));
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        root.write(&mut out);
        out.push('\n');
        Some((out, self.paragraphs))
    }
}

fn has_times(element: &Element) -> bool {
    is_timed(element) || element.elements().any(has_times)
}

/// Takes a style or region over; a name that means something else already is changed, and told.
fn adopt(
    list: &mut Vec<Element>,
    element: &Element,
    renamed: &[(String, String)],
    number: u64,
    declared: &[(String, String)],
) -> Option<(String, String)> {
    let mut element = element.clone();
    refer(&mut element, renamed, false);
    element.attributes.extend(declared.iter().filter(|(name, _)| name.starts_with("xmlns")).cloned());
    let id = element.attribute("id").map(str::to_owned);
    if list.contains(&element) {
        return None;
    }
    let is_taken = |id: &str| list.iter().any(|e| e.attribute("id") == Some(id));
    let clash = id.filter(|id| is_taken(id));
    let change = clash.map(|id| {
        let fresh = format!("{id}_{number}");
        element.set("xml:id", fresh.clone());
        (id, fresh)
    });
    list.push(element);
    change
}

/// Puts changed names in place; `without_ids`: takes the names of elements away, which must be unique.
fn refer(element: &mut Element, renamed: &[(String, String)], without_ids: bool) {
    if without_ids {
        element.attributes.retain(|(name, _)| name != "xml:id");
    }
    for (name, value) in &mut element.attributes {
        if (name == "style" || name == "region") && !renamed.is_empty() {
            let fresh = |word: &str| renamed.iter().find(|(old, _)| old == word).map(|(_, new)| new.clone());
            *value = value.split_whitespace().map(|w| fresh(w).unwrap_or(w.to_owned())).collect::<Vec<_>>().join(" ");
        }
    }
    element.elements_mut().for_each(|child| refer(child, renamed, without_ids));
}

/// Leaves out paragraphs that were there before.
fn keep_new(node: &mut Node, seen: &mut HashSet<String>) -> bool {
    let Node::Element(element) = node else { return true };
    if element.local() == "p" {
        let mut text = String::new();
        let mut nameless = element.clone();
        refer(&mut nameless, &[], true);
        nameless.write(&mut text);
        // Without a time of its own it is told from others by what holds it.
        return !is_timed(element) || seen.insert(text);
    }
    if !is_timed(element) {
        element.children.retain_mut(|child| keep_new(child, seen));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<head><styling><style xml:id=\"s\" tts:color=\"red\"/></styling></head>";

    fn document(attributes: &str, inside: &str) -> Document {
        let text = format!(
            "<?xml version=\"1.0\"?><tt xmlns=\"http://www.w3.org/ns/ttml\" xmlns:ttp=\"p\" xmlns:tts=\"s\" {attributes}>{inside}</tt>"
        );
        parse(&text, None).expect("a document")
    }

    fn merged(documents: &[(Document, i64)]) -> (String, u64) {
        let mut merger = Merger::default();
        for (document, ms) in documents {
            merger.add(document, Nanos::from_ms(*ms));
        }
        merger.finish().expect("a document")
    }

    #[test]
    fn times_are_read_in_every_spelling() {
        let rates = Rates { frames_per_s: 25.0, ticks_per_s: 10_000_000.0 };
        for (text, ms) in [
            ("00:00:01.5", 1_500),
            ("01:00:00:05", 3_600_200),
            ("2.25s", 2_250),
            ("40ms", 40),
            ("1h", 3_600_000),
            ("2m", 120_000),
            ("50f", 2_000),
            ("5000000t", 500),
        ] {
            assert_eq!(time(text, rates), Some(Nanos::from_ms(ms)), "{text}");
        }
        for text in ["", "1", "-1s", "nan", "1:2", "infs", "1e9s", "é"] {
            assert_eq!(time(text, rates), None, "{text}");
        }
    }

    #[test]
    fn outermost_times_move_and_those_inside_stay() {
        let one = document(
            "ttp:frameRate=\"25\"",
            "<body><div><p begin=\"10s\" end=\"12s\"><span begin=\"00:00:00:05\">a</span></p></div></body>",
        );
        assert_eq!(one.span(), Some((Nanos::from_ms(10_000), Nanos::from_ms(12_000))));
        let (text, count) = merged(&[(one, -9_000)]);
        assert!(
            text.contains("<p begin=\"00:00:01.000\" end=\"00:00:03.000\"><span begin=\"00:00:00.200\">a</span></p>"),
            "{text}"
        );
        assert!(!text.contains("frameRate"), "{text}");
        assert_eq!(count, 1);
    }

    #[test]
    fn what_lies_before_the_start_is_cut_or_left_out() {
        let one =
            document("", "<body><div><p begin=\"1s\" end=\"2s\">a</p><p begin=\"1s\" dur=\"3s\">b</p></div></body>");
        let (text, count) = merged(&[(one, -2_000)]);
        assert!(text.contains("<p begin=\"00:00:00.000\" dur=\"00:00:02.000\">b</p>"), "{text}");
        assert_eq!(count, 1, "{text}");
    }

    #[test]
    fn documents_become_one_and_repetitions_go() {
        let body = |a: &str| format!("{HEAD}<body style=\"s\"><div>{a}</div></body>");
        let one = document("", &body("<p xml:id=\"x\" begin=\"1s\" end=\"3s\">a</p>"));
        let two = document("", &body("<p xml:id=\"x\" begin=\"1s\" end=\"3s\">a</p><p begin=\"3s\" end=\"4s\">b</p>"));
        let (text, count) = merged(&[(one, 0), (two, 0)]);
        assert_eq!(count, 2, "{text}");
        assert_eq!(text.matches("<style ").count(), 1, "{text}");
        assert_eq!(text.matches("xml:id=\"x\"").count(), 1, "{text}");
        assert!(xml::parse(&text).is_ok(), "{text}");
    }

    #[test]
    fn a_style_that_means_something_else_gets_a_name_of_its_own() {
        let body = "<body><div><p style=\"s\" begin=\"1s\" end=\"2s\">a</p></div></body>";
        let one = document("", &format!("{HEAD}{body}"));
        let two = document("", &format!("{}{body}", HEAD.replace("red", "blue")));
        let (text, _) = merged(&[(one, 0), (two, 5_000)]);
        assert!(text.contains("xml:id=\"s_2\" tts:color=\"blue\""), "{text}");
        assert!(text.contains("<p style=\"s_2\" begin=\"00:00:06.000\""), "{text}");
        assert!(text.contains("<p style=\"s\" begin=\"00:00:01.000\""), "{text}");
    }

    #[test]
    fn a_document_without_times_is_shown_as_long_as_its_sample() {
        let shown = Some((Nanos::from_ms(10_000), Nanos::from_ms(12_000)));
        let text = "<tt xmlns=\"x\"><body><div><p>a</p></div></body></tt>";
        let document = parse(text, shown).expect("a document");
        assert_eq!(document.span(), shown);
        let (text, _) = merged(&[(document, -10_000)]);
        assert!(text.contains("<div begin=\"00:00:00.000\" end=\"00:00:02.000\">"), "{text}");
    }

    #[test]
    fn what_is_malformed_is_told() {
        assert_eq!(parse("<svg/>", None).err(), Some("its root is not tt"));
        assert_eq!(parse("<tt><body begin=\"x\"/></tt>", None).err(), Some("a time in it is malformed"));
    }
}
