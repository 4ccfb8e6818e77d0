//! Just enough XML to take timed text apart and put it together again: elements, attributes and text.
//!
//! What stands in text and attributes is kept as written, entities too, since nothing here has to understand it.
//! Comments, processing instructions and document types are left out; no entity is ever expanded.

/// Elements inside one another, beyond which a document is refused.
const MAX_DEPTH: usize = 64;
/// Elements and texts of one document, so that memory follows from its size.
const MAX_NODES: usize = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// With its prefix.
    pub(super) name: String,
    /// Names with their prefixes, values as written.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    /// As written.
    Text(String),
}

impl Element {
    pub(super) fn new(name: String) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    /// The name without its prefix.
    pub(super) fn local(&self) -> &str {
        local(&self.name)
    }

    /// The value of an attribute without a prefix, or with any.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| local(n) == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.attributes.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name.to_owned(), value)),
        }
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    pub(super) fn elements_mut(&mut self) -> impl Iterator<Item = &mut Element> {
        self.children.iter_mut().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    pub(super) fn child(&self, local: &str) -> Option<&Element> {
        self.elements().find(|e| e.local() == local)
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            let quote = if value.contains('"') { '\'' } else { '"' };
            out.extend([" ", name, "="]);
            out.push(quote);
            out.push_str(value);
            out.push(quote);
        }
        if self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(out),
                Node::Text(text) => out.push_str(text),
            }
        }
        out.extend(["</", &self.name, ">"]);
    }
}

pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The root element of a document; what is wrong with it otherwise.
pub(super) fn parse(text: &str) -> Result<Element, &'static str> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut open: Vec<Element> = Vec::new();
    let mut nodes = 0usize;
    loop {
        let at = rest.find('<').ok_or("it ends inside an element")?;
        if at > 0
            && let Some(parent) = open.last_mut()
        {
            nodes += 1;
            parent.children.push(Node::Text(rest[..at].to_owned()));
        }
        rest = &rest[at..];
        if let Some(behind) = markup_end(rest)? {
            // Character data marked as such is kept, the rest of these left out.
            if rest.starts_with("<![CDATA[")
                && let Some(parent) = open.last_mut()
            {
                nodes += 1;
                parent.children.push(Node::Text(rest[..behind].to_owned()));
            }
            rest = &rest[behind..];
            continue;
        }
        let end = tag_end(rest).ok_or("a tag does not end")?;
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let closed = if let Some(name) = tag.strip_prefix('/') {
            let element = open.pop().ok_or("an element ends that did not begin")?;
            if element.name != name.trim() {
                return Err("elements are not closed in order");
            }
            Some(element)
        } else {
            nodes += 1;
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let element = start_tag(tag)?;
            if is_empty {
                Some(element)
            } else {
                open.push(element);
                None
            }
        };
        if open.len() > MAX_DEPTH || nodes > MAX_NODES {
            return Err("it has too many elements, or too many inside one another");
        }
        if let Some(element) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(Node::Element(element)),
                None => return Ok(element),
            }
        }
    }
}

/// The end of a comment and its like, if one begins here.
fn markup_end(rest: &str) -> Result<Option<usize>, &'static str> {
    for (start, end) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        if rest.starts_with(start) {
            let at = rest.find(end).ok_or("a comment or an instruction does not end")?;
            return Ok(Some(at + end.len()));
        }
    }
    if rest.starts_with("<!") {
        let end = rest.find('>').ok_or("a document type does not end")?;
        if rest[..end].contains('[') {
            return Err("it declares entities of its own");
        }
        return Ok(Some(end + 1));
    }
    Ok(None)
}

/// The `>` that ends a tag, outside of quotes.
fn tag_end(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
    }
    None
}

fn start_tag(tag: &str) -> Result<Element, &'static str> {
    let (name, mut rest) = tag.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((tag, ""));
    let sound = |name: &str| !name.is_empty() && !name.contains(['<', '&', '"', '\'', '=']);
    let mut element = Element::new(name.to_owned());
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let (name, behind) = rest.split_once('=').ok_or("an attribute has no value")?;
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|c| ['"', '\''].contains(c)).ok_or("an attribute has no quotes")?;
        let (value, behind) = behind[1..].split_once(quote).ok_or("an attribute does not end")?;
        if !sound(name.trim()) || value.contains('<') {
            return Err("an attribute is malformed");
        }
        element.attributes.push((name.trim().to_owned(), value.to_owned()));
        rest = behind;
    }
    if sound(name) { Ok(element) } else { Err("an element has no name") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> String {
        let mut out = String::new();
        parse(text).expect("a document").write(&mut out);
        out
    }

    #[test]
    fn keeps_what_it_does_not_have_to_understand() {
        let text = "<?xml version=\"1.0\"?><!DOCTYPE tt><!-- c --><tt:tt xmlns:tt=\"x\" a='\"'>A &amp; <br/>\
                    <![CDATA[<b>]]><s k=\"a > b\">t</s></tt:tt>";
        assert_eq!(
            again(text),
            "<tt:tt xmlns:tt=\"x\" a='\"'>A &amp; <br/><![CDATA[<b>]]><s k=\"a > b\">t</s></tt:tt>"
        );
    }

    #[test]
    fn refuses_what_is_malformed_or_grows() {
        let deep = "<a>".repeat(100);
        for text in
            ["", "<a>", "<a></b>", "<a b></a>", "<a b=c/>", "<>", "</a>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", &deep]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_no_panic(text in "[<>/a!?\\-='\" \\[\\]é]{0,60}") {
            let _ = parse(&text);
        }
    }
}
