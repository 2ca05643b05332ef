package dissect

import "wirelake/internal/spi"

// constructors lists the protocols that have a parser, one file each. Where two
// share a field the first declares it.
func constructors() []func(*spi.Registry) Protocol {
	return []func(*spi.Registry) Protocol{
		newHTTP,
		newHTTP2,
		newWebSocket,
		newSOCKS,
		newFTP,
		newMySQL,
		newPostgreSQL,
		newIRC,
		newBGP,
		newOSPF,
		newRADIUS,
		newMQTT,
		newSNMP,
		newSTUN,
		newLDAP,
		newRDP,
		newSMB,
		newDCERPC,
		newModbus,
		newNBNS,
		newSIP,
		newKRB5,
		newISAKMP,
		newDiameter,
		newPOP3,
		newIMAP,
		newTDS,
		newTFTP,
		newICMP,
		newARP,
		newDHCP,
		newDHCPv6,
		newNTP,
		newSCTP,
		newISIS,
		newDNS,
		newMDNS,
		newLLMNR,
		newTLS,
		newQUIC,
		newFBZero,
		newSSH,
		newSMTP,
	}
}
