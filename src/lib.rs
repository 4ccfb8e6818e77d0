//! Turns HLS playlists and media segments into one clean, verified file, in-process.

mod av;
mod cancel;
mod container;
mod demux;
mod error;
mod event;
mod fetch;
mod input;
mod inspect;
mod job;
mod mux;
mod options;
mod pipeline;
mod plan;
mod playlist;
mod report;
mod time;
mod timeline;
mod workspace;

pub use cancel::CancelToken;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Observer};
pub use input::{Input, Output};
pub use inspect::{InputInfo, Inspection, RenditionInfo, StreamInfo, VariantInfo, inspect};
pub use job::Job;
pub use options::{
    AudioChoice, Existing, Faststart, Format, KeyOverride, Limits, OnChange, OnDiscontinuity, OnGap, Options,
    VariantChoice,
};
pub use report::{DroppedStream, Elapsed, Report, SegmentCounts, TrackReport};

/// libav's versions as this build runs with them: libavformat, libavcodec, libavutil.
pub fn libav_versions() -> [(&'static str, String); 3] {
    let show = |v: u32| format!("{}.{}.{}", v >> 16, (v >> 8) & 0xff, v & 0xff);
    [
        ("libavformat", show(ffmpeg_next::format::version())),
        ("libavcodec", show(ffmpeg_next::codec::version())),
        ("libavutil", show(ffmpeg_next::util::version())),
    ]
}
