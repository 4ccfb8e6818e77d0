//! How fast all transfers together may go.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// After a pause this much of the time that went by unused may be made up for.
const BURST: Duration = Duration::from_millis(100);
const NANOS: u128 = 1_000_000_000;

/// A limit of bytes a second that any number of transfers share.
///
/// Bytes pay in the order in which they ask, so a transfer gets the more turns the less it takes in one.
pub(super) struct Limiter {
    bytes_per_second: u64,
    /// When all that was taken so far is paid for.
    paid: Mutex<Instant>,
}

impl Limiter {
    /// A limiter that lets this many bytes pass in a second, at least one.
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid: Mutex::new(Instant::now()) }
    }

    /// Waits until these bytes are paid for. A wait that is given up has taken them all the same.
    pub(super) async fn take(&self, bytes: usize) {
        let paid = self.reserve(bytes);
        if paid > Instant::now() {
            sleep_until(paid).await;
        }
    }

    fn reserve(&self, bytes: usize) -> Instant {
        let nanos = bytes as u128 * NANOS / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let from = now.checked_sub(BURST).map_or(*paid, |earliest| earliest.max(*paid));
        *paid = from.checked_add(cost).unwrap_or(from);
        *paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Runs on a clock that jumps to the next wake-up.
    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    #[test]
    fn the_average_holds_over_many_transfers_and_each_gets_its_share() {
        run(async {
            let limiter = Arc::new(Limiter::new(1_000_000));
            let start = Instant::now();
            let transfers: Vec<_> = (0..10)
                .map(|_| {
                    let limiter = limiter.clone();
                    tokio::spawn(async move {
                        for _ in 0..100 {
                            limiter.take(10_000).await;
                        }
                        start.elapsed()
                    })
                })
                .collect();
            for transfer in transfers {
                let took = transfer.await.unwrap().as_secs_f64();
                assert!((9.85..10.01).contains(&took), "{took} s");
            }
        });
    }

    #[test]
    fn a_pause_gives_a_burst_of_a_tenth_of_a_second_and_no_more() {
        run(async {
            let limiter = Limiter::new(1_000_000);
            tokio::time::advance(Duration::from_secs(3600)).await;
            let start = Instant::now();
            limiter.take(100_000).await;
            assert_eq!(start.elapsed(), Duration::ZERO);
            limiter.take(50_000).await;
            let took = start.elapsed();
            assert!((49..=52).contains(&took.as_millis()), "{took:?}");
        });
    }

    #[test]
    fn one_that_gives_up_holds_nobody_up_for_longer_than_it_would_have_itself() {
        run(async {
            let limiter = Limiter::new(1000);
            let start = Instant::now();
            let given_up = tokio::time::timeout(Duration::from_millis(10), limiter.take(2000)).await;
            assert!(given_up.is_err());
            limiter.take(1000).await;
            let took = start.elapsed();
            assert!((2.9..3.01).contains(&took.as_secs_f64()), "{took:?}");
        });
    }

    #[test]
    fn no_size_and_no_rate_is_too_much() {
        run(async {
            let slow = Limiter::new(0);
            slow.take(0).await;
            assert!(tokio::time::timeout(Duration::from_secs(86_400), slow.take(usize::MAX)).await.is_err());
            assert!(tokio::time::timeout(Duration::from_secs(86_400), slow.take(usize::MAX)).await.is_err());
            let fast = Limiter::new(u64::MAX);
            let start = Instant::now();
            fast.take(1 << 40).await;
            assert!(start.elapsed() <= Duration::from_millis(1));
        });
    }
}
