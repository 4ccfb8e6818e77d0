//! What is odd about a playlist, counted by kind so that a fault in every line stays one warning.

/// Warnings in the order in which each kind was first met.
#[derive(Default)]
pub(super) struct Warnings(Vec<Counted>);

struct Counted {
    /// The first line concerned; `None`: the whole playlist.
    line: Option<usize>,
    message: &'static str,
    count: usize,
}

impl Warnings {
    /// Counts an oddity of a line.
    pub(super) fn line(&mut self, line: usize, message: &'static str) {
        self.count(Some(line), message);
    }

    /// Counts an oddity of the playlist as such.
    pub(super) fn playlist(&mut self, message: &'static str) {
        self.count(None, message);
    }

    fn count(&mut self, line: Option<usize>, message: &'static str) {
        match self.0.iter_mut().find(|w| w.message == message) {
            Some(known) => known.count += 1,
            None => self.0.push(Counted { line, message, count: 1 }),
        }
    }

    /// One line each.
    pub(super) fn into_lines(self) -> Vec<String> {
        let show = |w: Counted| match (w.line, w.count) {
            (None, _) => w.message.to_owned(),
            (Some(line), 1) => format!("line {line}: {}", w.message),
            (Some(line), count) => format!("line {line}: {} ({count} times in all)", w.message),
        };
        self.0.into_iter().map(show).collect()
    }
}
