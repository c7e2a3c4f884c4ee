//! Checks that comparing credentials or user ids costs the same wherever they differ.

use std::hint::black_box;

use sans_socks::Credentials;
use sans_socks::socks4::UserId;

use sans_socks_operations::Bench;

const VERIFY: &str = "credentials/verify";
const USER_ID: &str = "socks4/user_id/eq";
pub(crate) const JOBS: [&str; 2] = [VERIFY, USER_ID];

/// The job that [`is_constant`] must refuse.
pub(crate) const CONTROL: &str = "control/verify";

// Neither is a multiple of the width of a vector or of a word.
const USERNAME: [u8; 45] = [b'u'; 45];
const PASSWORD: [u8; 101] = [b'p'; 101];

/// Where a byte differs: a byte of the user name and one of the password.
const DIFFERENCES: [(Option<usize>, Option<usize>); 6] = [
    (None, None),
    (Some(0), None),
    (Some(USERNAME.len() - 1), None),
    (None, Some(0)),
    (None, Some(PASSWORD.len() - 1)),
    (Some(USERNAME.len() / 2), Some(PASSWORD.len() / 2)),
];

/// The size argument that selects each of [`DIFFERENCES`]. They start at 1, because size 0 means a job without a size.
pub(crate) const CASES: [u8; DIFFERENCES.len()] = [1, 2, 3, 4, 5, 6];

pub(crate) fn is_constant(counts: [u64; CASES.len()]) -> bool {
    counts.iter().all(|count| *count == counts[0])
}

/// Runs a job. A name that is neither in [`JOBS`] nor [`CONTROL`] runs none.
pub(crate) fn run(name: &str, bench: &mut impl Bench, case: u8) {
    match name {
        VERIFY => job(name, bench, case, |given, username, password| {
            given.verify(username, password)
        }),
        USER_ID => job(name, bench, case, |given, username, password| {
            let user_id = |bytes| UserId::new(bytes).expect("short enough");
            // Both are compared, so that each case has a byte that differs.
            (user_id(given.username()) == user_id(username))
                & (user_id(given.password()) == user_id(password))
        }),
        CONTROL => job(name, bench, case, |given, username, password| {
            given.username() == username && given.password() == password
        }),
        _ => {}
    }
}

fn job(name: &str, bench: &mut impl Bench, case: u8, equal: impl Fn(&Credentials<'_>, &[u8], &[u8]) -> bool) {
    let (in_username, in_password) = DIFFERENCES[usize::from(case) - 1];
    let (mut username, mut password) = (USERNAME, PASSWORD);
    if let Some(at) = in_username {
        username[at] ^= 1;
    }
    if let Some(at) = in_password {
        password[at] ^= 1;
    }
    let given = Credentials::new(&username, &password).expect("short enough");
    bench.job(
        name,
        (),
        |()| equal(black_box(&given), black_box(&USERNAME), black_box(&PASSWORD)),
        |equal, ()| assert_eq!(equal, (in_username, in_password) == (None, None)),
    );
}
