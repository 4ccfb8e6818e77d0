//! Video: decoding times that suit the order of presentation, by looking at some pictures ahead.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Stamped;
use super::restore::Restoring;
use super::stream::FORWARD;
use super::track::{Mapped, Times, Written};
use crate::time::Nanos;

/// Packets looked at ahead of the one to be stamped: the deepest reordering that H.264 and HEVC allow.
pub(super) const WINDOW: usize = 17;

/// No sample is made shorter than this: players treat shorter ones as broken.
const SHORTEST_SAMPLE: Nanos = Nanos(1_500_000);

/// Presentation times that are further behind the others are not reordered, they are wrong.
const MAX_REORDERING: Nanos = Nanos::from_ms(1_000);

/// A packet that is looked at ahead.
struct Picture<P> {
    /// The input's, or one made up.
    pts: i64,
    item: Mapped<P>,
}

/// The window of a video track.
pub(super) struct Reordering<P> {
    /// Held back, in decoding order.
    window: VecDeque<Picture<P>>,
    /// Presentation times of everything held back: the n-th to go out decodes no later than the n-th smallest.
    order: BinaryHeap<Reverse<i64>>,
    /// Decoding times of the input are of no use: they are made from the presentation times, so much earlier.
    rebuilt_delay: Option<i64>,
    /// The last step from one presentation to the next, and the same where the one before was as long.
    step: Option<i64>,
    steady_step: Option<i64>,
    /// The last of those: what a picture takes though one is missing behind it.
    pace: Option<i64>,
    /// What comes before: pictures that have no time of their own get one.
    restoring: Restoring<P>,
}

impl<P> Reordering<P> {
    pub(super) fn new() -> Self {
        Self {
            window: VecDeque::new(),
            order: BinaryHeap::new(),
            rebuilt_delay: None,
            step: None,
            steady_step: None,
            pace: None,
            restoring: Restoring::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        (self.rebuilt_delay, self.step, self.steady_step, self.pace) = (None, None, None, None);
        self.restoring = Restoring::new();
    }

    pub(super) fn push(&mut self, item: Mapped<P>, written: &mut Written, out: &mut VecDeque<Stamped<P>>) {
        self.restoring.push(item);
        while let Some(item) = self.restoring.pop(false, written.base) {
            self.enter(item, written, out);
        }
    }

    /// Takes a picture into the window.
    fn enter(&mut self, item: Mapped<P>, written: &mut Written, out: &mut VecDeque<Stamped<P>>) {
        let pts = item.pts.or(item.dts).unwrap_or_else(|| self.following(written));
        self.order.push(Reverse(pts));
        self.window.push_back(Picture { pts, item });
        if self.window.len() > WINDOW {
            self.emit(written, out);
        }
    }

    pub(super) fn flush(&mut self, written: &mut Written, out: &mut VecDeque<Stamped<P>>) {
        while let Some(item) = self.restoring.pop(true, written.base) {
            self.enter(item, written, out);
        }
        while !self.window.is_empty() {
            self.emit(written, out);
        }
        self.order.clear();
    }

    /// Presentation of a picture that comes without any time: behind the one before.
    fn following(&self, written: &Written) -> i64 {
        let behind = |pts: i64, duration: Option<i64>| {
            let duration = duration.filter(|d| *d > 0).unwrap_or(written.last_duration);
            pts.saturating_add(duration.max(shortest_sample(written)))
        };
        match self.window.back() {
            Some(picture) => behind(picture.pts, picture.item.duration),
            None => written.last_dts.map_or(0, |dts| behind(dts, None)),
        }
    }

    /// Stamps the packet at the head of the window.
    fn emit(&mut self, written: &mut Written, out: &mut VecDeque<Stamped<P>>) {
        let step = shortest_sample(written);
        let max_reordering = MAX_REORDERING.to_ticks(written.base);
        let is_broken = || self.decoding_times_are_broken(step, written.last_dts) || self.lacks_room(step, written);
        if self.rebuilt_delay.is_some() || is_broken() {
            let delay = self.reorder_delay(max_reordering);
            self.rebuilt_delay = self.rebuilt_delay.max(Some(delay));
        }
        let lowest = written.lowest(step);
        // Each packet behind the head needs a sample's room before its own presentation, unless it is lost anyway.
        let room = self.window.iter().zip(0i64..).map(|(picture, n)| picture.pts.saturating_sub(n * step));
        let highest = room.filter(|high| lowest.is_none_or(|low| *high >= low.saturating_sub(max_reordering))).min();

        let Some(Picture { pts: wanted_pts, item }) = self.window.pop_front() else { return };
        let smallest = self.order.pop().map_or(wanted_pts, |Reverse(pts)| pts);
        let given = match self.rebuilt_delay {
            Some(delay) => Some(smallest.saturating_sub(delay)),
            None => item.dts,
        };
        let wish = given.or_else(|| Some(written.last_dts?.saturating_add(written.last_duration)));
        let wish = wish.unwrap_or(wanted_pts);
        let wish = highest.map_or(wish, |high| wish.min(high));
        let dts = lowest.map_or(wish, |low| wish.max(low));
        let pts = wanted_pts.max(dts);
        written.mended += u64::from(item.dts != Some(dts) || item.pts.or(item.dts) != Some(pts));

        let next = self.order.peek().map(|Reverse(next)| next.saturating_sub(smallest));
        let next = next.filter(|ticks| (step..=FORWARD.to_ticks(written.base)).contains(ticks));
        if let Some(next) = next {
            self.steady_step = self.step.filter(|last| next.abs_diff(*last) <= 2).map(|last| last.min(next));
            self.pace = self.steady_step.or(self.pace);
            self.step = Some(next);
        }
        // What the codec says of its rate may be wrong; where the pictures are even they tell better when one ends.
        let even = self.steady_step.filter(|_| item.guessed_duration);
        let duration = even.or(item.duration.filter(|ticks| *ticks > 0)).or(next).or(self.pace);
        let duration = duration.unwrap_or(written.last_duration.max(step));
        let presented = item.presented.filter(|_| item.pts.or(item.dts) == Some(pts));
        let presented = presented.unwrap_or_else(|| Nanos::from_ticks(pts, written.base));
        let length = item.length.filter(|_| even.is_none());
        let length = length.unwrap_or_else(|| Nanos::from_ticks(duration, written.base));
        written.send(item.payload, Times { pts, dts, duration, end: presented.plus(length) }, out);
    }

    /// The window's decoding times are such as no muxer takes, and not at a single place only.
    fn decoding_times_are_broken(&self, step: i64, last_dts: Option<i64>) -> bool {
        let (mut last, mut broken) = (last_dts, 0);
        for Picture { item, .. } in &self.window {
            let is_sound = item.dts.is_some_and(|dts| {
                last.is_none_or(|last| dts >= last.saturating_add(step)) && item.pts.is_none_or(|pts| pts >= dts)
            });
            broken += usize::from(!is_sound);
            last = item.dts.or(last);
        }
        let is_reordered = || self.window.iter().zip(self.window.iter().skip(1)).any(|(a, b)| a.pts > b.pts);
        let are_presentation_times = || self.window.iter().all(|picture| picture.item.dts == Some(picture.pts));
        (broken > 1 && broken * 4 > self.window.len()) || (broken > 0 && is_reordered() && are_presentation_times())
    }

    /// The head has no decoding time, and the picture behind it is decoded no later than the head would have to be:
    /// that is so where libav takes times away behind a jump back, and gives others.
    fn lacks_room(&self, step: i64, written: &Written) -> bool {
        let mut items = self.window.iter().map(|picture| &picture.item);
        let (Some(head), Some(next)) = (items.next(), items.next()) else { return false };
        let Some(pts) = head.pts.filter(|_| head.dts.is_none()) else { return false };
        let following = written.last_dts.map(|last| last.saturating_add(written.last_duration.max(step)));
        next.dts.is_some_and(|dts| dts < following.map_or(pts, |at| at.min(pts)).saturating_add(step))
    }

    /// How much earlier than "n-th to be presented" the n-th packet must be decoded for all to arrive in time.
    fn reorder_delay(&self, max_ticks: i64) -> i64 {
        let mut sorted: Vec<i64> = self.order.iter().map(|Reverse(pts)| *pts).collect();
        sorted.sort_unstable();
        // Close to the end of a full window, those that come next can still be presented before.
        let known = if self.window.len() > WINDOW { WINDOW / 2 } else { WINDOW };
        let late = self.window.iter().take(known).zip(&sorted).map(|(picture, nth)| nth.saturating_sub(picture.pts));
        late.filter(|ticks| *ticks <= max_ticks).max().unwrap_or(0).max(0)
    }
}

fn shortest_sample(written: &Written) -> i64 {
    SHORTEST_SAMPLE.to_ticks(written.base).max(1)
}
