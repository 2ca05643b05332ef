package dissect

// diameterCommand names commands (IANA "AAA parameters", command codes; of 3GPP: TS 29.230 section 5).
func diameterCommand(n uint32) string {
	switch n {
	case 257:
		return "Capabilities-Exchange"
	case 258:
		return "Re-Auth"
	case 260:
		return "AA-Mobile-Node"
	case 262:
		return "Home-Agent-MIP"
	case 265:
		return "AA"
	case 268:
		return "Diameter-EAP"
	case 271:
		return "Accounting"
	case 272:
		return "Credit-Control"
	case 274:
		return "Abort-Session"
	case 275:
		return "Session-Termination"
	case 280:
		return "Device-Watchdog"
	case 282:
		return "Disconnect-Peer"
	case 283, 300:
		return "User-Authorization"
	case 284, 301:
		return "Server-Assignment"
	case 285, 302:
		return "Location-Info"
	case 286, 303:
		return "Multimedia-Auth"
	case 287, 304:
		return "Registration-Termination"
	case 288, 305:
		return "Push-Profile"
	case 306:
		return "User-Data"
	case 307:
		return "Profile-Update"
	case 308:
		return "Subscribe-Notifications"
	case 309:
		return "Push-Notification"
	case 310:
		return "Bootstrapping-Info"
	case 311:
		return "Message-Process"
	case 316:
		return "Update-Location"
	case 317:
		return "Cancel-Location"
	case 318:
		return "Authentication-Information"
	case 319:
		return "Insert-Subscriber-Data"
	case 320:
		return "Delete-Subscriber-Data"
	case 321:
		return "Purge-UE"
	case 322:
		return "Reset"
	case 323:
		return "Notify"
	case 324:
		return "ME-Identity-Check"
	case 325:
		return "MIP6"
	case 326:
		return "QoS-Authorization"
	case 327:
		return "QoS-Install"
	case 8388620:
		return "Provide-Location"
	case 8388621:
		return "Location-Report"
	case 8388622:
		return "LCS-Routing-Info"
	case 8388635:
		return "Spending-Limit"
	case 8388636:
		return "Spending-Status-Notification"
	case 8388637:
		return "TDF-Session"
	case 8388645:
		return "MO-Forward-Short-Message"
	case 8388646:
		return "MT-Forward-Short-Message"
	case 8388647:
		return "Send-Routing-Info-for-SM"
	case 8388648:
		return "Alert-Service-Centre"
	case 8388649:
		return "Report-SM-Delivery-Status"
	case 8388718:
		return "Configuration-Information"
	case 8388719:
		return "Reporting-Information"
	case 8388726:
		return "NIDD-Information"
	}
	return "Unknown"
}

// diameterApplication names applications (IANA "AAA parameters", application ids; of 3GPP: TS 29.230 section 4).
func diameterApplication(n uint32) string {
	switch n {
	case 0:
		return "Common"
	case 1:
		return "NASREQ"
	case 2:
		return "Mobile IPv4"
	case 3:
		return "Base Accounting"
	case 4:
		return "Credit Control"
	case 5:
		return "EAP"
	case 6:
		return "SIP"
	case 7:
		return "Mobile IPv6 IKE"
	case 8:
		return "Mobile IPv6 Auth"
	case 9:
		return "QoS"
	case 16777216:
		return "3GPP Cx"
	case 16777217:
		return "3GPP Sh"
	case 16777218:
		return "3GPP Re"
	case 16777219:
		return "3GPP Wx"
	case 16777220:
		return "3GPP Zn"
	case 16777221:
		return "3GPP Zh"
	case 16777222:
		return "3GPP Gq"
	case 16777223:
		return "3GPP Gmb"
	case 16777224, 16777238:
		return "3GPP Gx"
	case 16777225:
		return "3GPP Gx over Gy"
	case 16777226:
		return "3GPP MM10"
	case 16777229, 16777236:
		return "3GPP Rx"
	case 16777230:
		return "3GPP Pr"
	case 16777250:
		return "3GPP STa"
	case 16777251:
		return "3GPP S6a/S6d"
	case 16777252:
		return "3GPP S13/S13'"
	case 16777255:
		return "3GPP SLg"
	case 16777264:
		return "3GPP SWm"
	case 16777265:
		return "3GPP SWx"
	case 16777266:
		return "3GPP Gxx"
	case 16777267:
		return "3GPP S9"
	case 16777268:
		return "3GPP Zpn"
	case 16777272:
		return "3GPP S6b"
	case 16777291:
		return "3GPP SLh"
	case 16777292:
		return "3GPP SGmb"
	case 16777302:
		return "3GPP Sy"
	case 16777303:
		return "3GPP Sd"
	case 16777308:
		return "3GPP S7a"
	case 16777309:
		return "3GPP Tsp"
	case 16777310:
		return "3GPP S6m"
	case 16777311:
		return "3GPP T4"
	case 16777312:
		return "3GPP S6c"
	case 16777313:
		return "3GPP SGd"
	case 16777345:
		return "3GPP S6t"
	case 16777346:
		return "3GPP T6a/T6b"
	case 4294967295:
		return "Relay"
	}
	return "Unknown"
}
