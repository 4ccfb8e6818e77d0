//! A part of the playlist's time: the segments that lie in it.

use super::{Listed, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::options::TimeRange;
use crate::playlist::Segment;
use crate::time::Nanos;

/// A segment that reaches into the range by less than this is left out: EXTINF is rounded, and `12-24` means the
/// segment that begins at 12.012 and not the one that ends there.
const LEAST_OVERLAP: Nanos = Nanos::from_ms(100);

/// Leaves the segments that lie in a range, wholly or in part. The other inputs follow the borders of the main one, so
/// that none has a hole where it has media.
pub(super) fn cut(plan: &mut Plan, range: TimeRange) -> Result<()> {
    let Some((main, others)) = plan.inputs.split_first_mut() else { return Ok(()) };
    let nanos = |d: std::time::Duration| Nanos(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    let wished = (nanos(range.start), range.end.map_or(Nanos(i64::MAX), nanos));
    let length = main.playlist.duration();
    let Some(borders) = keep(main, wished)? else {
        let length = length.unwrap_or_default().seconds();
        let message = format!("no segment lies in the range: {} is {length:.3} s long", main.name);
        return Err(Error::new(ErrorKind::Usage, message).with_hint("give a range inside it"));
    };
    for listed in others.iter_mut().chain(&mut plan.subtitles) {
        keep(listed, borders)?;
    }
    plan.inputs.retain(|listed| !listed.playlist.segments.is_empty());
    plan.subtitles.retain(|listed| !listed.playlist.segments.is_empty());
    Ok(())
}

/// Tells from where to where the segments reach that are left; `None` if none is.
fn keep(listed: &mut Listed, (from, to): (Nanos, Nanos)) -> Result<Option<(Nanos, Nanos)>> {
    let (mut at, mut borders, mut failed) = (Nanos::ZERO, None, None);
    listed.playlist.segments.retain(|segment: &Segment| {
        let Some(duration) = segment.duration else {
            failed.get_or_insert_with(|| {
                Error::new(ErrorKind::Usage, format!("a range needs a playlist: {} tells no durations", listed.name))
                    .with_hint("leave --range out")
            });
            return false;
        };
        let (start, end) = (at, at.plus(duration));
        at = end;
        let overlap = end.min(to).minus(start.max(from));
        let is_in = overlap > Nanos::ZERO && overlap >= LEAST_OVERLAP.min(duration);
        if is_in {
            borders = Some((borders.map_or(start, |(first, _)| first), end));
        }
        is_in
    });
    failed.map_or(Ok(borders), Err)
}
