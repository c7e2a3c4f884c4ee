use sans_socks_peers::command;
use sans_socks_peers_protosocks::ROWS;

fn main() {
    command::allocations(ROWS, |work| {
        let info = allocation_counter::measure(work);
        [info.count_total, info.bytes_total, info.bytes_max]
    });
}
