//! The access rules: which targets clients may reach.
//!
//! Rules apply to the address that is dialed, after resolution. A check of the request alone would miss every name
//! that resolves to a denied address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::own_sockets::{can_recognize_local, is_local};

/// A network on the command line: `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let net = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) => net.trunc(),
            (_, Ok(ip)) => IpNet::from(ip),
            _ => return Err("expected a network like 10.0.0.0/8 or an IP address".into()),
        };
        match net.addr() {
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
                Err("expected an IPv4 network instead of IPv4-mapped addresses".into())
            }
            _ => Ok(Self(net)),
        }
    }
}

/// Networks that a public proxy must not give access to: itself, its link, and its local networks.
const INTERNAL: [&str; 18] = [
    "0.0.0.0/8", // reaches loopback on many systems
    "10.0.0.0/8",
    "100.64.0.0/10", // shared address space of providers
    "127.0.0.0/8",
    "169.254.0.0/16", // link-local, and the metadata services of clouds
    "172.16.0.0/12",
    "192.0.0.0/24", // protocol assignments
    "192.168.0.0/16",
    "198.18.0.0/15", // tests of network devices
    "224.0.0.0/4",   // multicast
    "240.0.0.0/4",   // reserved, and broadcast
    "::/128",
    "::1/128",
    "64:ff9b:1::/48", // local NAT64
    "fc00::/7",
    "fe80::/10",
    "fec0::/10", // formerly site-local
    "ff00::/8",  // multicast
];

/// The access rules. Of the rules that match, the one with the longest prefix decides.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// From the strongest to the weakest.
    rules: Vec<(IpNet, Verdict)>,
    /// Whether the IPv4 and the IPv6 addresses of this host are denied, unless a rule matches.
    deny_own: (bool, bool),
}

/// Between rules for the same network, the first of these wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Deny,
    Allow,
    DenyByDefault,
}

impl Rules {
    /// Creates rules from those of the command line. With `deny_internal`, loopback, link-local and private networks and all
    /// addresses of this host are denied unless a rule allows them.
    #[must_use]
    pub fn new(allow: &[Network], deny: &[Network], deny_internal: bool) -> Self {
        let internal = INTERNAL.iter().filter(|_| deny_internal);
        let mut rules: Vec<_> = internal
            .filter_map(|net| Some((net.parse().ok()?, Verdict::DenyByDefault)))
            .chain(allow.iter().map(|net| (net.0, Verdict::Allow)))
            .chain(deny.iter().map(|net| (net.0, Verdict::Deny)))
            .collect();
        rules.sort_by_key(|(net, verdict)| (std::cmp::Reverse(net.prefix_len()), *verdict));
        Self {
            rules,
            deny_own: if deny_internal {
                can_recognize_local()
            } else {
                (false, false)
            },
        }
    }

    /// Returns whether `ip` may be dialed.
    ///
    /// An IPv4 address inside an IPv6 address must be allowed, too: a NAT64 gateway or a 6to4 router would forward to it.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.verdict(ip) && embedded(ip).is_none_or(|ip| self.verdict(ip.into()))
    }

    fn verdict(&self, ip: IpAddr) -> bool {
        match self.rules.iter().find(|(net, _)| net.contains(&ip)) {
            Some((_, verdict)) => *verdict == Verdict::Allow,
            None => !(self.denies_own(ip) && is_local((ip, 0).into())),
        }
    }

    fn denies_own(&self, ip: IpAddr) -> bool {
        let (v4, v6) = self.deny_own;
        if ip.is_ipv4() { v4 } else { v6 }
    }
}

/// Returns the IPv4 address that an IPv6 address leads to: NAT64, 6to4, and the deprecated IPv4-compatible form.
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        _ if ip.is_unspecified() || ip == Ipv6Addr::LOCALHOST => None,
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, Rules};

    fn rules(allow: &[&str], deny: &[&str], deny_internal: bool) -> Rules {
        let parse = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>();
        Rules::new(&parse(allow), &parse(deny), deny_internal)
    }

    #[test]
    fn internal_networks_are_denied_beyond_loopback() {
        let rules = rules(&[], &[], true);
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "224.0.0.251",
            "192.0.0.8",
            "198.19.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "ff02::fb",
            "fec0::1",
            "64:ff9b:1::a00:1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "::10.0.0.1",
        ] {
            assert!(!rules.permits(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "192.0.2.1",
            "192.0.1.1",
            "198.20.0.1",
            "172.32.0.1",
            "2001:db8::1",
            "64:ff9b::c000:201",
            "11.0.0.1",
        ] {
            assert!(rules.permits(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn loopback_listener_permits_everything() {
        let rules = rules(&[], &[], false);
        for ip in ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1"] {
            assert!(rules.permits(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn longest_prefix_decides() {
        let rules = rules(
            &["10.1.0.0/16", "0.0.0.0/0", "10.1.9.9"],
            &["10.1.9.0/24", "192.0.2.7"],
            true,
        );
        for (ip, permitted) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("10.1.9.1", false),
            ("10.1.9.9", true),
            ("127.0.0.1", false),
            ("192.0.2.7", false),
            ("192.0.2.8", true),
        ] {
            assert_eq!(rules.permits(ip.parse().unwrap()), permitted, "{ip}");
        }
    }

    #[test]
    fn allow_of_the_same_length_overrides_the_default_and_deny_overrides_allow() {
        assert!(rules(&["127.0.0.0/8"], &[], true).permits([127, 0, 0, 1].into()));
        assert!(!rules(&["127.0.0.0/8"], &["127.0.0.0/8"], true).permits([127, 0, 0, 1].into()));
    }

    #[test]
    fn network_with_ipv4_mapped_addresses_is_refused() {
        for text in ["::ffff:10.0.0.0/104", "10.0.0.0/33", "example.com", ""] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!("10.1.2.3/8".parse::<Network>(), "10.0.0.0/8".parse());
    }
}
