//! The file of ceilings: a comment, then a line for each job, with its name, its ceiling and the reason for its cost.

use std::fmt;

use crate::Error;

/// The text before the compiler's version.
const COMPILER: &str = "# Recorded with ";

/// The reason of a job that has none yet.
const NO_REASON: &str = "?";

pub(crate) struct Ceilings {
    comment: String,
    pub(crate) compiler: String,
    jobs: Vec<Ceiling>,
}

struct Ceiling {
    job: String,
    count: u64,
    reason: String,
}

impl Ceilings {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (comment, rest) = text.split_once(COMPILER).ok_or("no compiler's version")?;
        let mut lines = rest.lines();
        let compiler = lines.next().unwrap_or_default().into();
        let jobs = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let mut words = line.split_whitespace();
                let (job, count) = words.next().zip(words.next()).ok_or(line)?;
                Ok(Ceiling {
                    job: job.into(),
                    count: count.parse().map_err(|error| format!("{line}: {error}"))?,
                    reason: words.collect::<Vec<_>>().join(" "),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            comment: comment.into(),
            compiler,
            jobs,
        })
    }

    pub(crate) fn of(&self, job: &str) -> Option<u64> {
        Some(self.get(job)?.count)
    }

    fn get(&self, job: &str) -> Option<&Ceiling> {
        self.jobs.iter().find(|ceiling| ceiling.job == job)
    }

    /// Returns the ceilings that are exceeded, missing or wrong.
    pub(crate) fn faults(&self, counts: &[(String, u64)]) -> Vec<String> {
        let mut faults = Vec::new();
        for (job, count) in counts {
            match self.get(job) {
                None => faults.push(format!("{job}: has no ceiling")),
                Some(ceiling) if *count > ceiling.count => {
                    faults.push(format!(
                        "{job}: {count} instructions, above its ceiling of {}",
                        ceiling.count
                    ));
                }
                Some(_) => {}
            }
        }
        for Ceiling { job, reason, .. } in &self.jobs {
            if !counts.iter().any(|(counted, _)| counted == job) {
                faults.push(format!("{job}: there is no such job"));
            }
            if reason.is_empty() || reason == NO_REASON {
                faults.push(format!("{job}: its ceiling has no reason"));
            }
        }
        faults
    }

    /// Sets each ceiling to the count of its job plus 2 %, and keeps the reasons.
    pub(crate) fn record(&mut self, counts: &[(String, u64)], compiler: &str) {
        self.compiler = compiler.into();
        self.jobs = counts
            .iter()
            .map(|(job, count)| Ceiling {
                job: job.clone(),
                count: count + count.div_ceil(50),
                reason: self
                    .get(job)
                    .map_or(NO_REASON.into(), |ceiling| ceiling.reason.clone()),
            })
            .collect();
    }
}

impl fmt::Display for Ceilings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}{COMPILER}{}\n", self.comment, self.compiler)?;
        for Ceiling { job, count, reason } in &self.jobs {
            writeln!(f, "{job:26} {count:>6}  {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Ceilings;

    const TEXT: &str = "# A comment.\n# Recorded with rustc 1\n\na 102 because\nb 7 so it is\n";

    fn faults(counts: &[(&str, u64)]) -> Vec<String> {
        let counts: Vec<_> = counts
            .iter()
            .map(|(job, count)| (job.to_string(), *count))
            .collect();
        Ceilings::parse(TEXT).expect("well-formed").faults(&counts)
    }

    #[test]
    fn a_count_may_reach_its_ceiling_and_not_rise_above() {
        assert!(faults(&[("a", 102), ("b", 1)]).is_empty());
        assert_eq!(
            faults(&[("a", 103), ("b", 7)]),
            ["a: 103 instructions, above its ceiling of 102"]
        );
    }

    #[test]
    fn jobs_and_ceilings_are_the_same() {
        assert_eq!(faults(&[("a", 1)]), ["b: there is no such job"]);
        assert_eq!(faults(&[("a", 1), ("b", 1), ("c", 1)]), ["c: has no ceiling"]);
    }

    #[test]
    fn recording_keeps_reasons_and_wants_new_ones() {
        let mut ceilings = Ceilings::parse(TEXT).expect("well-formed");
        let counts = [("c".into(), 51), ("a".into(), 200)];
        ceilings.record(&counts, "rustc 2");
        assert_eq!(ceilings.faults(&counts), ["c: its ceiling has no reason"]);

        let text = ceilings.to_string();
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "# A comment. # Recorded with rustc 2 c 53 ? a 204 because"
        );
    }
}
