fn main() {
    sans_socks_peers::command::run(sans_socks_peers_protosocks::ROWS);
}
