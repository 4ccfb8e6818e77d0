//! The stages of a merge one by one. They are private, and a bench sees the public API only: so it needs this, and the
//! feature that it is behind.

use std::fs::File;
use std::path::Path;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Web;
use crate::input::Input;
use crate::mux::{Extent, Sink, ToDisk};
use crate::net::Network;
use crate::options::Options;
use crate::pipeline::{self, PlannedInput};
use crate::plan::{Purpose, plan};

/// A media playlist on disk, read once, and merged stage by stage as often as one likes. Not part of the library's promise.
pub struct Stages(pipeline::Stages);

impl Stages {
    /// Reads a playlist of one session and all of its media into memory.
    ///
    /// # Errors
    /// Those of a merge; `Unsupported` for more than one session.
    pub fn read(playlist: &Path) -> Result<Self> {
        let options = Options::default();
        let input = Input::from(playlist);
        let network = Network::new(&options.network);
        let web = Web::new(&network, &options.network, input.url().as_ref(), &CancelToken::new())?;
        let plan = plan(&input, &options, Purpose::Merge, &web)?;
        let extent = Extent { duration: plan.duration(), bytes: plan.size_bytes() };
        let none = || Error::new(ErrorKind::Playlist, "the playlist has no media");
        let listed = plan.inputs.into_iter().next().ok_or_else(none)?;
        let role = listed.track_role.clone();
        // Of what is on disk nothing gets into a workspace.
        let planned = PlannedInput { role, source: listed.into_source(&options, Path::new("")) };
        pipeline::Stages::read(planned, extent, options.limits).map(Self)
    }

    /// Demuxes all segments and throws the packets away; returns their number.
    ///
    /// # Errors
    /// Those of a merge.
    pub fn demux(&self) -> Result<usize> {
        self.0.demux()
    }

    /// Gives all packets their times; returns their number.
    pub fn timeline(&self) -> usize {
        self.0.timeline().len()
    }

    /// Writes all packets as a fragmented MP4 that nobody keeps.
    ///
    /// # Errors
    /// Those of a merge.
    pub fn mux_to_nowhere(&self) -> Result<()> {
        self.0.mux(Sink::Stream(Box::new(std::io::sink())))
    }

    /// Writes all packets as an MP4 with `moov` in front, which is not brought to disk in the end.
    ///
    /// # Errors
    /// Those of a merge.
    pub fn mux_to_file(&self, file: File) -> Result<()> {
        self.0.mux(Sink::file(file, ToDisk::Later))
    }
}
