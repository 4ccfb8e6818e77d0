//! Which part of a list this machine does: every N-th job, from the I-th.

use std::str::FromStr;

use avweld::Result;

use crate::source::usage;

/// Every `count`-th job, from the one at `index`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All jobs.
    const ALL: Self = Self { index: 0, count: 1 };

    fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// True if a job, by its position in the list, is in here.
    pub(crate) fn takes(self, position: usize) -> bool {
        position % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((number(index)?, number(count)?)));
        parts.and_then(|(index, count)| Self::new(index, count)).ok_or("give I/N, with I from 0 to N-1, such as 0/4")
    }
}

/// The shard given, else that of the array job this process belongs to, else all.
///
/// # Errors
/// `Usage` for a variable that is there and makes no sense: to do all jobs then would do each of them N times.
pub(crate) fn chosen(given: Option<Shard>, variable: impl Fn(&str) -> Option<String>) -> Result<Shard> {
    if let Some(shard) = given {
        return Ok(shard);
    }
    // Kubernetes tells the index only; the manifest must tell the count.
    if let Some(index) = variable("JOB_COMPLETION_INDEX") {
        let count = variable("JOB_COMPLETION_COUNT").and_then(|count| number(&count));
        let shard = number(&index).zip(count).and_then(|(index, count)| Shard::new(index, count));
        return shard.ok_or_else(|| {
            usage(
                "JOB_COMPLETION_INDEX is set, and JOB_COMPLETION_COUNT is not, or does not go with it; \
                 set it to the number of completions, or say --shard I/N, 0/1 for all jobs",
            )
        });
    }
    // Slurm may count from 1, or in steps.
    if let Some(id) = variable("SLURM_ARRAY_TASK_ID") {
        let or = |name: &str, default| variable(name).map_or(Some(default), |text| number(&text));
        let count = variable("SLURM_ARRAY_TASK_COUNT").and_then(|count| number(&count));
        let index = number(&id).zip(or("SLURM_ARRAY_TASK_MIN", 0)).and_then(|(id, min)| id.checked_sub(min));
        let step = or("SLURM_ARRAY_TASK_STEP", 1).filter(|step| *step > 0);
        let index = index.zip(step).and_then(|(offset, step)| (offset % step == 0).then_some(offset / step));
        return index.zip(count).and_then(|(index, count)| Shard::new(index, count)).ok_or_else(|| {
            usage(
                "SLURM_ARRAY_TASK_ID does not go with SLURM_ARRAY_TASK_COUNT, _MIN and _STEP, as in an array that has \
                 holes; say --shard I/N, 0/1 for all jobs",
            )
        });
    }
    Ok(Shard::ALL)
}

/// Digits only: `parse` alone would take `+7` too.
fn number(text: &str) -> Option<usize> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Shard> {
        chosen(None, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn shards_share_a_list_without_rest() {
        let shards: Vec<Shard> = ["0/3", "1/3", "2/3"].iter().map(|text| text.parse().expect("a shard")).collect();
        for position in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.takes(position)).count(), 1, "{position}");
        }
        assert!((0..10).all(|position| Shard::ALL.takes(position)));
        for bad in ["", "3/3", "1", "/", "a/3", "-1/3", "+1/3", "0/0", "0/3/1", "0 / 3"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn array_jobs_know_their_shard() {
        let shard = |index, count| Some(Shard { index, count });
        assert_eq!(of(&[]).ok(), Some(Shard::ALL));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETION_COUNT", "4")]).ok(), shard(2, 4));
        let slurm = |id, count, more: &[(&'static str, &'static str)]| {
            of(&[&[("SLURM_ARRAY_TASK_ID", id), ("SLURM_ARRAY_TASK_COUNT", count)], more].concat()).ok()
        };
        assert_eq!(slurm("0", "4", &[]), shard(0, 4));
        assert_eq!(slurm("4", "4", &[("SLURM_ARRAY_TASK_MIN", "1")]), shard(3, 4));
        assert_eq!(slurm("20", "3", &[("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_STEP", "10")]), shard(1, 3));
        // An array with holes: 1,3,9.
        assert_eq!(slurm("9", "3", &[("SLURM_ARRAY_TASK_MIN", "1")]), None);
        let given = Shard { index: 1, count: 2 };
        assert_eq!(chosen(Some(given), |_| Some("x".to_owned())).ok(), Some(given));
    }

    #[test]
    fn an_index_without_a_count_is_an_error() {
        for variables in [
            &[("JOB_COMPLETION_INDEX", "2")][..],
            &[("JOB_COMPLETION_INDEX", "4"), ("JOB_COMPLETION_COUNT", "4")],
            &[("JOB_COMPLETION_INDEX", ""), ("JOB_COMPLETION_COUNT", "4")],
            &[("SLURM_ARRAY_TASK_ID", "1")],
        ] {
            assert!(of(variables).is_err(), "{variables:?}");
        }
    }
}
