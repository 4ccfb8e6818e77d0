//! The same with all of the media read.

use super::{InputInfo, download, facts, left_out, taken};
use crate::error::Result;
use crate::fetch::{Web, wanted};
use crate::options::{OnGap, Options};
use crate::pipeline::{PlannedInput, Teller, survey};
use crate::plan::{Listed, Plan};
use crate::playlist::Segment;
use crate::workspace::{Purpose, Workspace};

/// Reads all sequences of a plan in step, as a merge would.
pub(super) fn inputs(plan: Plan, options: &Options, web: &Web, warnings: &mut Vec<String>) -> Result<Vec<InputInfo>> {
    let workspace = Workspace::open(options.temp_dir.as_deref(), Purpose::default(), options.keep_temp)?;
    let mut infos: Vec<InputInfo> = plan.inputs.iter().map(facts).collect();
    // Of the others it was told when their playlists were read that they cannot be.
    let (places, readable): (Vec<usize>, Vec<Listed>) =
        plan.inputs.into_iter().enumerate().filter(|(_, listed)| is_readable(listed)).unzip();
    let wanted = wanted(&readable.iter().map(Listed::sequence).collect::<Vec<_>>());
    let all: Vec<&Listed> = readable.iter().collect();
    let _download = match wanted.is_empty() {
        true => None,
        false => Some(download(&all, wanted, OnGap::Skip, options, &workspace, web)?),
    };
    let mut planned = Vec::new();
    for listed in readable {
        let role = listed.track_role.clone();
        let mut source = listed.into_source(options, workspace.path());
        source.on_gap = OnGap::Skip;
        planned.push(PlannedInput { source, role });
    }
    let mut tell = Teller::new(String::new(), None);
    let found = survey(&planned, &options.limits, &mut tell, &web.cancel)?;
    for (place, found) in places.into_iter().zip(found) {
        let info = &mut infos[place];
        match found.error {
            // Without a playlist the files are all there is to look into.
            Some(error) if plan.kind == "files" && found.first.is_none() => return Err(error),
            Some(error) => tell.warn(error.to_string()),
            None => {}
        }
        if let Some((container, streams, dropped)) = found.first {
            info.container = Some(container.name());
            info.streams = streams.into_iter().map(taken).chain(dropped.into_iter().map(left_out)).collect();
        }
        info.deep = Some(found.deep);
    }
    warnings.extend(tell.take_warnings());
    Ok(infos)
}

fn is_readable(listed: &Listed) -> bool {
    listed.playlist.segments.iter().flat_map(Segment::keys).all(|key| key.is_supported())
}
