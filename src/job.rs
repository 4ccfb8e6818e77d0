//! One job, from its input to its report.

use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Observer;
use crate::input::{Input, Output};
use crate::options::Options;
use crate::report::Report;

/// One merge: an input, an output and what to do on the way.
#[must_use = "a job does nothing until it is run"]
pub struct Job {
    input: Input,
    output: Output,
    name: Option<String>,
    options: Options,
    observer: Option<Arc<dyn Observer>>,
    cancel: CancelToken,
}

impl Job {
    /// A job with the default options.
    pub fn new(input: impl Into<Input>, output: impl Into<Output>) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            name: None,
            options: Options::default(),
            observer: None,
            cancel: CancelToken::new(),
        }
    }

    /// A label for events and the report; by default the output's name. It never becomes a path.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Replaces the options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Who hears of the job's events.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// What cancels the job.
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Runs the job on the calling thread and blocks until it is done.
    ///
    /// # Errors
    /// One error that tells its kind, and the segment and stream at fault where there is one.
    /// No output file is left then, and no temporary one.
    pub fn run(self) -> Result<Report> {
        Err(Error::new(ErrorKind::Unsupported, "run"))
    }
}
