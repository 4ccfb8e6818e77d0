//! Pictures that come without a time: where they are shown follows from their codec's own count, or from the hole
//! that the times of the others leave.

use std::collections::VecDeque;

use super::PictureOrder;
use super::stream::FORWARD;
use super::track::Mapped;
use super::video::WINDOW;
use crate::time::TimeBase;

/// A picture whose time is known.
struct Known {
    /// It stands among those between two that begin the count anew.
    sequence: u64,
    count: Option<i64>,
    pts: i64,
    /// The input said so.
    given: bool,
}

/// Lets pictures through as they come, from the first without a time on so many behind.
pub(super) struct Restoring<P> {
    /// In decoding order, with the sequence of each.
    waiting: VecDeque<(u64, Mapped<P>)>,
    /// Before those, the newest last.
    known: VecDeque<Known>,
    sequence: u64,
    highest_count: Option<i64>,
    /// The latest presentation so far.
    latest: Option<i64>,
    duration: i64,
    /// Ticks in so many counts.
    pace: Option<(i64, i64)>,
}

impl<P> Restoring<P> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            known: VecDeque::new(),
            sequence: 0,
            highest_count: None,
            latest: None,
            duration: 0,
            pace: None,
        }
    }

    pub(super) fn push(&mut self, item: Mapped<P>) {
        if let Some(PictureOrder { count, key }) = item.order {
            if key && self.highest_count.is_some_and(|highest| count <= highest) {
                self.sequence += 1;
                self.highest_count = None;
            }
            self.highest_count = self.highest_count.max(Some(count));
        }
        self.duration = item.duration.filter(|ticks| *ticks > 0).unwrap_or(self.duration);
        self.waiting.push_back((self.sequence, item));
    }

    /// The next picture, if its time is known or can be told; `rest`: none come behind those that wait.
    pub(super) fn pop(&mut self, rest: bool, base: TimeBase) -> Option<Mapped<P>> {
        let (sequence, head) = self.waiting.front()?;
        let (sequence, order) = (*sequence, head.order);
        let given = head.pts.or(head.dts.filter(|_| order.is_none()));
        if given.is_none() && self.waiting.len() <= WINDOW && !rest {
            return None;
        }
        let found = given.or_else(|| match order {
            Some(order) => self.by_count(sequence, order.count, FORWARD.to_ticks(base)),
            None => self.by_hole(),
        });
        let (_, mut item) = self.waiting.pop_front()?;
        if let Some(pts) = found {
            self.latest = self.latest.max(Some(pts));
            let known = Known { sequence, count: order.map(|o| o.count), pts, given: given.is_some() };
            if self.known.len() == WINDOW {
                self.known.pop_front();
            }
            self.known.push_back(known);
            // Later steps see a time like any other; that the input had none shows in the decoding time.
            if item.pts.is_none() && order.is_some() {
                item.dts = None;
            }
            item.pts = item.pts.or(found);
        }
        Some(item)
    }

    /// Count and time of the pictures of a sequence whose times the input gave, in decoding order.
    fn given(&self, sequence: u64) -> impl Iterator<Item = (i64, i64)> {
        let before = self.known.iter().filter(move |k| k.sequence == sequence && k.given);
        let behind = self.waiting.iter().filter(move |(s, _)| *s == sequence);
        let before = before.filter_map(|k| Some((k.count?, k.pts)));
        before.chain(behind.filter_map(|(_, item)| Some((item.order?.count, item.pts?))))
    }

    fn counts(&self, sequence: u64) -> impl Iterator<Item = i64> {
        let before = self.known.iter().filter(move |k| k.sequence == sequence).filter_map(|k| k.count);
        let behind = self.waiting.iter().filter(move |(s, _)| *s == sequence);
        before.chain(behind.filter_map(|(_, item)| Some(item.order?.count)))
    }

    /// `reach`: nothing that is further away than this can be told.
    fn by_count(&mut self, sequence: u64, count: i64, reach: i64) -> Option<i64> {
        let (low, high) = (self.given(sequence).min(), self.given(sequence).max());
        if let (Some((first, from)), Some((last, to))) = (low, high)
            && last > first
            && to > from
        {
            self.pace = Some((to.saturating_sub(from), last.saturating_sub(first)));
        }
        // One picture lasts as long as the smallest step between two of them.
        let lowest = self.counts(sequence).min()?;
        let step = self.counts(sequence).fold(0, |step, count| gcd(step, count.saturating_sub(lowest)));
        let (ticks, counts) = self.pace.or((step > 0 && self.duration > 0).then_some((self.duration, step)))?;
        let after = |from: i64, pts: i64| {
            let distance = i128::from(count.saturating_sub(from)) * i128::from(ticks);
            let rounded = (distance * 2 + i128::from(counts)).div_euclid(2 * i128::from(counts));
            let rounded = i64::try_from(rounded).ok().filter(|ticks| ticks.unsigned_abs() <= reach.unsigned_abs())?;
            Some(pts.saturating_add(rounded))
        };
        let here = self.known.iter().rev().find_map(|k| Some((k.count.filter(|_| k.sequence == sequence)?, k.pts)));
        match here.or_else(|| self.given(sequence).next()) {
            Some((from, pts)) => after(from, pts),
            // A sequence of which nothing is known is shown when all before it was.
            None => after(lowest, self.latest.map_or(0, |pts| pts.saturating_add(self.duration))),
        }
    }

    /// The hole in the times around that is nearest to the picture before; `None` if there is none.
    fn by_hole(&self) -> Option<i64> {
        let behind = self.waiting.iter().filter_map(|(_, item)| item.pts);
        let mut times: Vec<i64> = self.known.iter().map(|k| k.pts).chain(behind).collect();
        times.sort_unstable();
        let (last, length) = (self.known.back()?.pts, self.duration.max(1));
        let holes = times.windows(2).filter(|pair| pair[1].saturating_sub(pair[0]) > length.saturating_add(length / 2));
        holes.map(|pair| pair[0].saturating_add(length)).min_by_key(|at| at.abs_diff(last))
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.saturating_abs() } else { gcd(b, a.wrapping_rem(b)) }
}
