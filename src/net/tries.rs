//! How often a request is made again, and after what pause.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::client::Client;
use super::fault::{Failure, Retry};
use crate::error::Result;

/// The longest pause between two tries that is our own choice.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The pause after a try that brought the body on.
const SHORT_PAUSE: Duration = Duration::from_millis(200);
/// The pause before another look for what is not there.
const MISSING_PAUSE: Duration = Duration::from_secs(1);
/// Tries that brought the body on are not counted, up to so many.
const MAX_ADVANCES: u32 = 100;
/// A host that serves other requests meanwhile is alive: then the tries are counted anew, so many times.
const MAX_ROUNDS: u32 = 3;

/// How often one request was tried, and how long to wait before the next time.
pub(super) struct Tries {
    retries: u32,
    delay: Duration,
    pauses: backon::ExponentialBackoff,
    failed: u32,
    not_found: u32,
    advances: u32,
    rounds: u32,
    served: u64,
    free: bool,
    made: u32,
}

impl Tries {
    pub(super) fn new(client: &Client, served: u64) -> Self {
        let options = client.options();
        let delay = options.retry_delay;
        Self {
            retries: options.retries,
            delay,
            pauses: pauses(delay),
            failed: 0,
            not_found: 0,
            advances: 0,
            rounds: 0,
            served,
            free: true,
            made: 0,
        }
    }

    /// The pause before the next try; the error where there is none.
    pub(super) fn next(&mut self, failure: Failure, advanced: bool, served: u64) -> Result<Duration> {
        let Failure { error, retry } = failure;
        self.made += 1;
        let asked = matches!(retry, Retry::Later(Some(_)));
        match retry {
            Retry::No => return Err(error),
            Retry::Free if self.free => {
                self.free = false;
                return Ok(Duration::ZERO);
            }
            Retry::Twice => {
                self.not_found += 1;
                if self.not_found > self.retries.min(2) {
                    return Err(error);
                }
                // It will hardly come, so nobody should have to wait for it.
                return Ok(self.delay.min(MISSING_PAUSE));
            }
            Retry::Free | Retry::Later(_) if advanced && self.advances < MAX_ADVANCES => {
                self.advances += 1;
                (self.failed, self.pauses) = (0, pauses(self.delay));
                return Ok(self.delay.min(SHORT_PAUSE));
            }
            Retry::Free | Retry::Later(_) => {
                self.failed += 1;
                if self.failed > self.retries {
                    if self.retries == 0 || self.rounds == MAX_ROUNDS || served == self.served {
                        return Err(if self.made > 1 {
                            let made = self.made;
                            error.within(format_args!("given up after {made} tries"))
                        } else {
                            error
                        });
                    }
                    (self.rounds, self.failed, self.served) = (self.rounds + 1, 1, served);
                    self.pauses = pauses(self.delay);
                }
            }
        }
        // The server's own pause is kept by all requests to the host, this one too.
        Ok(if asked { Duration::ZERO } else { self.pauses.next().unwrap_or(LONGEST_PAUSE) })
    }
}

fn pauses(delay: Duration) -> backon::ExponentialBackoff {
    let longest = LONGEST_PAUSE.max(delay);
    ExponentialBuilder::new().with_min_delay(delay).with_max_delay(longest).without_max_times().with_jitter().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    fn tries(retries: u32) -> Tries {
        Tries {
            retries,
            delay: Duration::from_secs(5),
            pauses: pauses(Duration::from_secs(5)),
            failed: 0,
            not_found: 0,
            advances: 0,
            rounds: 0,
            served: 0,
            free: true,
            made: 0,
        }
    }

    fn failure(retry: Retry) -> Failure {
        Failure { error: Error::new(ErrorKind::Network, "x"), retry }
    }

    fn tried(tries: &mut Tries, retry: Retry, served: impl Fn(u64) -> u64) -> u64 {
        (1..).find(|n| tries.next(failure(retry), false, served(*n)).is_err()).unwrap_or(0)
    }

    #[test]
    fn a_dead_host_is_given_up_after_the_retries_and_a_living_one_later() {
        assert_eq!(tried(&mut tries(3), Retry::Later(None), |_| 0), 4);
        assert_eq!(tried(&mut tries(0), Retry::Later(None), |_| 0), 1);
        assert_eq!(tried(&mut tries(3), Retry::Later(None), |n| n), 13);
        assert_eq!(tried(&mut tries(3), Retry::Twice, |n| n), 3);
        assert_eq!(tried(&mut tries(3), Retry::No, |n| n), 1);
        assert_eq!(tried(&mut tries(1), Retry::Free, |_| 0), 3);
    }

    #[test]
    fn pauses_grow_and_a_try_that_got_on_waits_little() {
        let mut tries = tries(5);
        let mut pause = |advanced| tries.next(failure(Retry::Later(None)), advanced, 0).unwrap();
        let (first, second) = (pause(false), pause(false));
        assert!((5.0..=10.0).contains(&first.as_secs_f64()), "{first:?}");
        assert!((10.0..=20.0).contains(&second.as_secs_f64()), "{second:?}");
        assert_eq!(pause(true), SHORT_PAUSE);
    }
}
