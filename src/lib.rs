//! Merges HLS playlists and media segments into one verified file, in-process.
//!
//! A [`Job`] takes a playlist (by URL, or a file), a folder of segments, or media files in order, and writes one MP4,
//! MOV, Matroska or MPEG-TS file. Packets are copied through libav: nothing is decoded or encoded anew, and no
//! other program is started. A [`Service`] runs many jobs at once. [`inspect`] tells what an input holds without
//! merging it.
//!
//! # What it promises
//!
//! - The output appears at its path in one step, when it is complete, was read back and is on disk. A job
//!   that fails or is cancelled leaves that path as it was, and of temporary files only a download to go on with.
//! - Audio and video keep their distance. The output's clock begins at 0; where the input's clock breaks off,
//!   the media goes on without overlap and without a gap that is not the input's own.
//! - No packet is left out but for repetitions at segment borders, which the [`Report`] counts. A segment
//!   that is missing or cut short fails the job, unless [`OnGap::Skip`] says otherwise.
//! - The same input and options make the same bytes.
//! - Input is not trusted. A playlist names files below its own folder and no others
//!   ([`Options::allow_paths`]), leads to no address that is more private than its own
//!   ([`NetworkOptions::address_policy`]), and none of the user's credentials go to another origin; sizes and counts
//!   end at [`Limits`], each named by its error.
//! - What was fetched is kept when a download is cancelled or the network fails: the next run of the same job fetches
//!   the rest.
//!
//! # Merging
//!
//! ```
//! use avweld::{Job, OnGap, Options};
//!
//! # fn main() -> avweld::Result<()> {
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let segment = folder.path().join("1.aac");
//! # let frame = [0xff, 0xf1, 0x50, 0x80, 0x01, 0xbf, 0xfc, 0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];
//! # std::fs::write(&segment, frame.repeat(100)).expect("a segment");
//! # let playlist = folder.path().join("index.m3u8");
//! # let lines = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.322,\n1.aac\n#EXT-X-ENDLIST\n";
//! # std::fs::write(&playlist, lines).expect("a playlist");
//! # let output = folder.path().join("lesson.m4a");
//! let mut options = Options::default();
//! options.on_gap = OnGap::Skip;
//!
//! // `playlist` and `output` are paths.
//! let report = Job::new(&playlist, &output).options(options).run()?;
//! assert_eq!((report.segments.planned, report.segments.merged), (1, 1));
//! assert_eq!((report.tracks[0].kind, report.tracks[0].packets), ("audio", 100));
//! # Ok(())
//! # }
//! ```
//!
//! # Looking first
//!
//! ```
//! use avweld::{Input, Options, VariantChoice, inspect};
//!
//! # fn main() -> avweld::Result<()> {
//! let text = b"#EXTM3U
//! ##EXT-X-STREAM-INF:BANDWIDTH=2400000,RESOLUTION=1280x720
//! high.m3u8
//! ##EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360
//! low.m3u8
//! ";
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let base = folder.path().to_string_lossy().into_owned();
//! let input = Input::PlaylistText { text: text.to_vec(), base };
//! let mut options = Options::default();
//! options.variant = VariantChoice::Height(400);
//!
//! let found = inspect(&input, &options)?;
//! let chosen = found.variants.iter().find(|variant| variant.selected);
//! assert_eq!(chosen.map(|variant| variant.uri.as_str()), Some("low.m3u8"));
//! // Its playlist is not there, so nothing could be looked into, and a warning says so.
//! assert!(found.inputs.is_empty() && found.warnings.len() == 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Many at once
//!
//! ```
//! use avweld::{Job, Service};
//!
//! # fn main() -> avweld::Result<()> {
//! let service = Service::builder().max_concurrent_downloads(3).max_concurrent_merges(2).build()?;
//! let jobs = ["one", "two"].map(|name| {
//!     // Names are labels: any number of jobs may share one.
//!     service.submit(Job::new(format!("nowhere/{name}.m3u8"), &format!("{name}.mp4")).name("lesson"))
//! });
//! for job in jobs {
//!     assert!(job.wait().is_err(), "there is no such playlist");
//! }
//! service.stop();
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! Every call that can fail returns one [`Error`]: a line that tells the segment, the stream and the time as
//! far as they are known, and what to do about it. [`Error::kind`] tells them apart:
//!
//! | [`ErrorKind`] | whose matter it is |
//! |---|---|
//! | `Usage` | the caller's: arguments or options that contradict each other or name what is not there |
//! | `Playlist`, `Media`, `Key` | the input's: malformed, cut short, missing a segment, not what it was called |
//! | `NotFound`, `Denied` | the machine's or the policy's: the input is not there, or may not be read |
//! | `Forbidden` | a server's, which refuses: credentials are missing, or a link has expired |
//! | `Network`, `Timeout` | the network's or a server's, for the time being: the same job may succeed later |
//! | `Unsupported`, `Limit` | ours: encryption, codec, container or place that avweld does not do, or not at that size |
//! | `Exists`, `CannotCreate` | the output's: its path is taken, its folder missing or not writable |
//! | `Io`, `DiskFull` | the machine's, in the middle of the work |
//! | `Cancelled` | the caller's wish, by a [`CancelToken`] |
//! | `Internal` | a fault of avweld: please report it |
//!
//! ```
//! use avweld::{ErrorKind, Job};
//!
//! let error = Job::new("nowhere/index.m3u8", "lesson.mp4").run().unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::NotFound);
//! assert!(!std::path::Path::new("lesson.mp4").exists());
//! ```
//!
//! Trouble that a job survives is an [`Event::Warning`] as it happens, and a line in [`Report::warnings`].
//! A panic inside a job becomes that job's `Internal` error.
//!
//! # Threads and blocking
//!
//! [`Job::run`] and [`inspect`] block. They merge on the thread that calls them; what comes from the web is fetched by a
//! second one, and what is on disk may be read ahead by others, which all end with the call. Jobs share nothing, so any
//! number of them may run at once, each on a thread of its own: in an async program on one for blocking work. A
//! [`Service`] has threads of its own, one for all transfers among them, and its handles can be waited for and awaited.
//! [`Observer`]s are called on the threads that do the work. A [`CancelToken`] may be cancelled from any; the job then
//! ends within moments, also where it is inside libav.
//!
//! The library does not print, exit, install signal handlers or set libav's log level, and of the environment
//! it only wants to know where temporary files go, unless [`Options::temp_dir`] says so. The unfinished output
//! stands under a temporary name in the folder of its target.
//!
//! # Units
//!
//! Names that end in `_s` are seconds, in `_bytes` bytes, in `_ns` nanoseconds; times are media times on the
//! output's clock unless they are called wall-clock times. What is not known is `None`, never a special value.
//!
//! # Features
//!
//! `cli`, on by default, builds the `avweld` command. With `default-features = false` the crate is the
//! library alone, without what the command needs.

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
mod net;
mod options;
mod pipeline;
mod plan;
mod playlist;
mod report;
mod service;
#[cfg(feature = "bench")]
mod stages;
mod subtitle;
mod time;
mod timeline;
mod workspace;

pub use cancel::CancelToken;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Observer};
pub use input::{Input, Output};
pub use inspect::{InputInfo, Inspection, RenditionInfo, StreamInfo, VariantInfo, inspect, inspect_deep};
pub use job::Job;
pub use options::{
    AddressPolicy, AudioChoice, Existing, Faststart, Format, Fsync, HttpVersion, InsecureSegments, KeyOverride, Limits,
    NetworkOptions, OnChange, OnDiscontinuity, OnGap, Options, Proxies, Resume, SubtitleChoice, TimeRange,
    TlsVerification, VariantChoice, Verify,
};
pub use report::{
    Deep, Download, DroppedStream, Elapsed, Gap, Report, Run, SegmentCounts, StreamRun, SubtitleReport, TrackReport,
    Verification,
};
pub use service::{JobHandle, JobStatus, Service, ServiceBuilder};
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use stages::Stages;

/// libav's versions as this program runs with them, each with its library's name: libavformat, libavcodec, libavutil.
pub fn libav_versions() -> [(&'static str, String); 3] {
    let show = |v: u32| format!("{}.{}.{}", v >> 16, (v >> 8) & 0xff, v & 0xff);
    [
        ("libavformat", show(ffmpeg_next::format::version())),
        ("libavcodec", show(ffmpeg_next::codec::version())),
        ("libavutil", show(ffmpeg_next::util::version())),
    ]
}

/// The options with which the libav that runs was configured, as one line.
pub fn libav_configuration() -> &'static str {
    ffmpeg_next::util::configuration()
}

/// The licence of the libav that runs, as it follows from its configuration: `LGPL version 2.1 or later`.
pub fn libav_licence() -> &'static str {
    ffmpeg_next::util::license()
}
