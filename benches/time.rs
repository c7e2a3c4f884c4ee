//! The time of each job: `cargo bench --bench time`. Part of a name after `--` selects jobs.

use criterion::Criterion;

fn main() {
    let mut clock = Clock(Criterion::default().configure_from_args());
    sans_socks_operations::all(&mut clock);
    clock.0.final_summary();
}

struct Clock(Criterion);

impl sans_socks_operations::Bench for Clock {
    fn job<S, T>(
        &mut self,
        name: &str,
        mut state: S,
        mut operation: impl FnMut(&mut S) -> T,
        check: impl FnOnce(T, &S),
    ) {
        self.0.bench_function(name, |bencher| {
            bencher.iter(|| operation(&mut state));
        });
        check(operation(&mut state), &state);
    }
}
