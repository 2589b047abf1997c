// SPDX-License-Identifier: MIT

//go:build mytun_device

package tunnels

// A kind is a kind of tunnel, over a device that is called wire.
type kind struct {
	name    string
	modules string // of the kernel that it needs
	tap     bool   // it goes over Ethernet
	only4   bool   // it carries no IPv6
	only6   bool   // it carries no IPv4
	prefix6 string // of the addresses inside, if the tunnel has it in its own hands

	// The commands make the tunnel, called inner, at one end; "ip" stands in front of each. Words in
	// braces are what the two ends have different: addresses of the wire's, and its hardware addresses.
	commands []string

	// keyed is for what no command of ip can set.
	keyed bool
}

const (
	over4 = "local {local4} remote {remote4}"
	over6 = "local {local6} remote {remote6}"
)

// ipKind is a tunnel that one command makes, over IPv4 or IPv6.
func ipKind(name, module, words string) kind {
	return kind{name: name, modules: module, commands: []string{"link add inner type " + words}}
}

// greKinds: the header may have a checksum of its own, but for ERSPAN.
var greKinds = []kind{
	ipKind("gre", "ip_gre", "gre "+over4),
	ipKind("gre csum", "ip_gre", "gre csum "+over4),
	ipKind("gre key seq", "ip_gre", "gre key 7 seq "+over4),
	ipKind("gre key seq csum", "ip_gre", "gre key 7 seq csum "+over4),
	ipKind("gretap", "ip_gre", "gretap "+over4),
	ipKind("gretap csum", "ip_gre", "gretap csum "+over4),
	ipKind("gretap key seq csum", "ip_gre", "gretap key 7 seq csum "+over4),
	ipKind("erspan 1", "ip_gre", "erspan seq key 7 erspan_ver 1 erspan 5 "+over4),
	ipKind("erspan 2", "ip_gre", "erspan seq key 7 erspan_ver 2 erspan_dir egress erspan_hwid 3 "+over4),
	ipKind("ip6gre", "ip6_gre", "ip6gre "+over6),
	ipKind("ip6gre csum", "ip6_gre", "ip6gre csum "+over6),
	ipKind("ip6gre key seq csum", "ip6_gre", "ip6gre key 7 seq csum "+over6),
	ipKind("ip6gre encaplimit none csum", "ip6_gre", "ip6gre encaplimit none csum "+over6),
	ipKind("ip6gretap", "ip6_gre", "ip6gretap "+over6),
	ipKind("ip6gretap csum", "ip6_gre", "ip6gretap csum "+over6),
	ipKind("ip6erspan", "ip6_gre", "ip6erspan seq key 7 erspan_ver 1 erspan 5 "+over6),
	onTAP(ipKind("gre csum on TAP", "ip_gre", "gre csum "+over4)),
	onTAP(ipKind("ip6gretap csum on TAP", "ip6_gre", "ip6gretap csum "+over6)),
}

func onTAP(k kind) kind {
	k.tap = true
	return k
}

// ipKinds are those of one IP header in front of another.
var ipKinds = []kind{
	{name: "ipip", modules: "ipip", only4: true, commands: []string{"link add inner type ipip " + over4}},
	{name: "sit", modules: "sit", only6: true, commands: []string{"link add inner type sit " + over4}},
	{name: "sit any", modules: "sit", commands: []string{"link add inner type sit mode any " + over4}},
	{name: "6rd", modules: "sit", only6: true, prefix6: "2001:db8:a63:", commands: []string{
		"link add inner type sit local {local4}", "tunnel 6rd dev inner 6rd-prefix 2001:db8::/32",
	}},
	{name: "ipip6", modules: "ip6_tunnel", only4: true, commands: []string{"link add inner type ip6tnl mode ipip6 " + over6}},
	{name: "ip6ip6", modules: "ip6_tunnel", only6: true, commands: []string{"link add inner type ip6tnl mode ip6ip6 " + over6}},
	ipKind("ip6tnl any", "ip6_tunnel", "ip6tnl mode any "+over6),
	ipKind("ip6tnl any, no limit", "ip6_tunnel", "ip6tnl mode any encaplimit none "+over6),
}

// udpKinds are those that a UDP header goes in front of, with and without a checksum.
var udpKinds = []kind{
	ipKind("vxlan", "vxlan", "vxlan id 7 dstport 4789 noudpcsum "+over4),
	ipKind("vxlan csum", "vxlan", "vxlan id 7 dstport 4789 udpcsum "+over4),
	ipKind("vxlan remote checksum", "vxlan", "vxlan id 7 dstport 4789 udpcsum remcsumtx remcsumrx "+over4),
	ipKind("vxlan over IPv6", "vxlan", "vxlan id 7 dstport 4789 "+over6),
	ipKind("vxlan over IPv6, no csum", "vxlan", "vxlan id 7 dstport 4789 udp6zerocsumtx udp6zerocsumrx "+over6),
	onTAP(ipKind("vxlan csum on TAP", "vxlan", "vxlan id 7 dstport 4789 udpcsum "+over4)),
	ipKind("geneve", "geneve", "geneve id 7 noudpcsum remote {remote4}"),
	ipKind("geneve csum", "geneve", "geneve id 7 udpcsum remote {remote4}"),
	ipKind("geneve over IPv6", "geneve", "geneve id 7 remote {remote6}"),
	ipKind("geneve over IPv6, no csum", "geneve", "geneve id 7 udp6zerocsumtx udp6zerocsumrx remote {remote6}"),
	fouKind("fou ipip", "ipip", "4", "", "encap fou"),
	fouKind("fou ipip csum", "ipip", "4", "", "encap fou encap-csum"),
	fouKind("fou gre csum", "gre csum", "47", "", "encap fou encap-csum"),
	fouKind("fou sit csum", "sit", "41", "", "encap fou encap-csum"),
	fouKind("gue ipip", "ipip", "", "gue", "encap gue"),
	fouKind("gue ipip csum", "ipip", "", "gue", "encap gue encap-csum"),
	fouKind("gue ipip remote checksum", "ipip", "", "gue", "encap gue encap-csum encap-remcsum"),
	fouKind("gue gre", "gre", "", "gue", "encap gue"),
	fouKind("gue gre csum remote checksum", "gre csum", "", "gue", "encap gue encap-csum encap-remcsum"),
	fouKind("gue sit csum", "sit", "", "gue", "encap gue encap-csum"),
	l2tpKind("l2tp udp", "encap udp udp_sport 5000 udp_dport 5000", "4"),
	l2tpKind("l2tp udp csum", "encap udp udp_csum on udp_sport 5000 udp_dport 5000", "4"),
	l2tpKind("l2tp udp over IPv6", "encap udp udp_sport 5000 udp_dport 5000", "6"),
	l2tpKind("l2tp ip", "encap ip", "4"),
	l2tpKind("l2tp ip over IPv6", "encap ip", "6"),
	{name: "wireguard", modules: "wireguard", commands: []string{"link add inner type wireguard"}, keyed: true},
}

// fouKind is a kind of tunnel within UDP: protocol is what follows, if the header does not say.
func fouKind(name, words, protocol, header, encapsulation string) kind {
	listen := "fou add port 5555 " + header
	if header == "" {
		listen += "ipproto " + protocol
	}
	return kind{
		name: name, modules: "fou ip_gre ipip sit", only4: words == "ipip", only6: words == "sit",
		commands: []string{
			listen, "link add inner type " + words + " " + over4 + " " + encapsulation + " encap-sport 5555 encap-dport 5555",
		},
	}
}

func l2tpKind(name, encapsulation, family string) kind {
	return kind{name: name, modules: "l2tp_eth l2tp_ip l2tp_ip6", commands: []string{
		"l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 " + encapsulation + " local {local" + family + "} remote {remote" + family + "}",
		"l2tp add session name inner tunnel_id 1 session_id 1 peer_session_id 1",
	}}
}

const macsecKey = "0123456789abcdef0123456789abcdef"

// ethernetKinds are those that need a link header.
var ethernetKinds = []kind{
	{name: "vlan", modules: "8021q", tap: true, commands: []string{"link add link wire inner type vlan id 7"}},
	{name: "802.1ad", modules: "8021q", tap: true, commands: []string{"link add link wire inner type vlan proto 802.1ad id 7"}},
	{name: "802.1ad and vlan", modules: "8021q", tap: true, commands: []string{
		"link add link wire outer up type vlan proto 802.1ad id 8", "link add link outer inner type vlan id 7",
	}},
	{name: "vlan in vlan", modules: "8021q", tap: true, commands: []string{
		"link add link wire outer up type vlan id 8", "link add link outer inner type vlan id 7",
	}},
	{name: "gre csum in vlan", modules: "8021q ip_gre", tap: true, commands: []string{
		"link add link wire outer up type vlan id 8", "address add {local}/30 dev outer",
		"link add inner type gre csum local {local} remote {remote}",
	}},
	{name: "macvlan", modules: "macvlan", tap: true, commands: []string{"link add link wire inner type macvlan mode bridge"}},
	{name: "ipvlan", modules: "ipvlan", tap: true, commands: []string{"link add link wire inner type ipvlan mode l2"}},
	{name: "macsec", modules: "macsec", tap: true, commands: macsec("")},
	{name: "macsec encrypted", modules: "macsec", tap: true, commands: macsec("encrypt on")},
}

func macsec(words string) []string {
	return []string{
		"link add link wire inner type macsec port 11 " + words,
		"macsec add inner tx sa 0 pn 1 on key 01 " + macsecKey,
		"macsec add inner rx port 11 address {remotemac}",
		"macsec add inner rx port 11 address {remotemac} sa 0 pn 1 on key 01 " + macsecKey,
	}
}
