use sans_socks_peers::{command, peers};

fn main() {
    command::allocations(peers::ROWS, |work| {
        let info = allocation_counter::measure(work);
        [info.count_total, info.bytes_total, info.bytes_max]
    });
}
