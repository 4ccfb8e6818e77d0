//! Rust source cut into words and signs, without comments and literals: enough to see what names what.

use std::ops::Range;

/// A word, a `::`, or a single sign; literals are `"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a source text.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut scan = Scan { chars: source.chars().collect(), at: 0, line: 1 };
    let mut out = Vec::new();
    while let Some(c) = scan.peek(0) {
        let line = scan.line;
        if let Some(text) = scan.token(c) {
            out.push(Token { text, line });
        }
    }
    out
}

struct Scan {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c))
    }

    /// Moves past the next token; `None` for white space and comments.
    fn token(&mut self, c: char) -> Option<String> {
        if self.starts_with("//") {
            while self.peek(0).is_some_and(|c| c != '\n') {
                self.next();
            }
            return None;
        }
        if self.starts_with("/*") {
            self.block_comment();
            return None;
        }
        if c.is_alphanumeric() || c == '_' {
            let start = self.at;
            while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                self.next();
            }
            let word: String = self.chars[start..self.at].iter().collect();
            return Some(self.after_word(word));
        }
        if c == '"' {
            self.next();
            self.string();
            return Some("\"".into());
        }
        if c == '\'' {
            return Some(self.quote());
        }
        self.next();
        if c == ':' && self.peek(0) == Some(':') {
            self.next();
            return Some("::".into());
        }
        (!c.is_whitespace()).then(|| c.to_string())
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.peek(0).is_some() {
            let step = if self.starts_with("/*") { 1 } else { -i32::from(self.starts_with("*/")) };
            self.next();
            if step != 0 {
                self.next();
                depth += step;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A word may be the prefix of a string: `b"…"`, `r#"…"#`.
    fn after_word(&mut self, word: String) -> String {
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        if raw {
            let hashes = (0..).take_while(|&i| self.peek(i) == Some('#')).count();
            if self.peek(hashes) == Some('"') {
                let end: String = std::iter::once('"').chain("#".repeat(hashes).chars()).collect();
                self.at += hashes + 1;
                while self.peek(0).is_some() && !self.starts_with(&end) {
                    self.next();
                }
                self.at += end.len();
                return "\"".into();
            }
        } else if matches!(word.as_str(), "b" | "c") && self.peek(0) == Some('"') {
            self.next();
            self.string();
            return "\"".into();
        }
        word
    }

    fn string(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                '"' => return,
                _ => {}
            }
        }
    }

    /// A character, or the sign before a lifetime's name.
    fn quote(&mut self) -> String {
        self.next();
        let character = self.peek(0) == Some('\\') || self.peek(1) == Some('\'');
        if character {
            if self.next() == Some('\\') {
                self.next();
            }
            while self.next().is_some_and(|c| c != '\'') {}
            return "\"".into();
        }
        "'".into()
    }
}

/// Where `#[cfg(test)]` items stand: a module with its body, or whatever follows up to its end.
pub(crate) fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    for start in 0..tokens.len() {
        if out.last().is_some_and(|r| r.contains(&start)) || !matches(tokens, start, &mark) {
            continue;
        }
        let mut depth = 0;
        let end = (start + mark.len()..tokens.len()).find(|&i| {
            match tokens[i].text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(tokens[i].text.as_str(), "}" | ";")
        });
        out.push(start..end.map_or(tokens.len(), |e| e + 1));
    }
    out
}

/// True if these words stand at this place.
pub(crate) fn matches(tokens: &[Token], at: usize, words: &[&str]) -> bool {
    tokens.len() >= at + words.len() && words.iter().zip(&tokens[at..]).all(|(word, token)| token.text == *word)
}

/// The first names below a `::` at this place: `x` of `::x::y`, `x` and `y` of `::{x::a, y}`.
pub(crate) fn names_below(tokens: &[Token], at: usize) -> Vec<Token> {
    let Some(first) = tokens.get(at + 1) else { return Vec::new() };
    if first.text != "{" {
        return vec![first.clone()];
    }
    let (mut depth, mut fresh, mut out) = (0, false, Vec::new());
    for token in &tokens[at + 1..] {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                fresh = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," => fresh = depth == 1,
            _ if fresh => {
                out.push(token.clone());
                fresh = false;
            }
            _ => {}
        }
    }
    out
}
