package dissect

// cipService names a service (volume 1, appendix A; the Connection Manager's own: section 3-5; of tags: 1756-PM020),
// "" when unknown. Two numbers mean one thing to the Connection Manager and another to tags.
func cipService(n byte, manager bool) string {
	if manager {
		switch n {
		case 0x4e:
			return "Forward_Close"
		case 0x52:
			return "Unconnected_Send"
		}
	}
	const object = 0x4b // from here on services belong to classes
	if n >= object {
		return nameOf([]string{
			0: "Execute_PCCC", 1: "Read_Tag", 2: "Write_Tag", 3: "Read_Modify_Write_Tag",
			7: "Read_Tag_Fragmented", 8: "Write_Tag_Fragmented", 9: "Forward_Open", 10: "Get_Instance_Attribute_List", 11: "Get_Connection_Data",
			12: "Search_Connection_Data", 15: "Get_Connection_Owner", 16: "Large_Forward_Open",
		}, n-object)
	}
	return nameOf([]string{
		0x01: "Get_Attributes_All", 0x02: "Set_Attributes_All", 0x03: "Get_Attribute_List", 0x04: "Set_Attribute_List",
		0x05: "Reset", 0x06: "Start", 0x07: "Stop", 0x08: "Create", 0x09: "Delete", 0x0a: "Multiple_Service_Packet",
		0x0d: "Apply_Attributes", 0x0e: "Get_Attribute_Single", 0x10: "Set_Attribute_Single", 0x11: "Find_Next_Object_Instance",
		0x14: "Error_Response", 0x15: "Restore", 0x16: "Save", 0x17: "No_Operation", 0x18: "Get_Member", 0x19: "Set_Member",
		0x1a: "Insert_Member", 0x1b: "Remove_Member", 0x1c: "Group_Sync",
	}, n)
}

// cipClassName names an object class (volume 1, table 5-1.1; volume 2, chapter 5), "" when it is a vendor's or unknown.
func cipClassName(class int) string {
	const networks = 0xf0
	if class >= networks {
		return nameOf([]string{
			"ControlNet", "ControlNet Keeper", "ControlNet Scheduling", "Connection Configuration", "Port", "TCP/IP Interface",
			"EtherNet Link", "CompoNet Link", "CompoNet Repeater",
		}, class-networks)
	}
	return nameOf([]string{
		0x01: "Identity", 0x02: "Message Router", 0x03: "DeviceNet", 0x04: "Assembly", 0x05: "Connection", 0x06: "Connection Manager",
		0x07: "Register", 0x08: "Discrete Input Point", 0x09: "Discrete Output Point", 0x0a: "Analog Input Point", 0x0b: "Analog Output Point",
		0x0e: "Presence Sensing", 0x0f: "Parameter", 0x10: "Parameter Group", 0x12: "Group", 0x1d: "Discrete Input Group",
		0x1e: "Discrete Output Group", 0x1f: "Discrete Group", 0x20: "Analog Input Group", 0x21: "Analog Output Group", 0x22: "Analog Group",
		0x23: "Position Sensor", 0x24: "Position Controller Supervisor", 0x25: "Position Controller", 0x26: "Block Sequencer",
		0x27: "Command Block", 0x28: "Motor Data", 0x29: "Control Supervisor", 0x2a: "AC/DC Drive", 0x2b: "Acknowledge Handler",
		0x2c: "Overload", 0x2d: "Softstart", 0x2e: "Selection", 0x30: "S-Device Supervisor", 0x31: "S-Analog Sensor", 0x32: "S-Analog Actuator",
		0x33: "S-Single Stage Controller", 0x34: "S-Gas Calibration", 0x35: "Trip Point", 0x37: "File", 0x38: "S-Partial Pressure",
		0x40: "S-Sensor Calibration", 0x41: "Event Log", 0x42: "Motion Device Axis", 0x43: "Time Sync", 0x44: "Modbus",
		0x45: "Originator Connection List", 0x46: "Modbus Serial Link", 0x47: "Device Level Ring", 0x48: "QoS", 0x4d: "Target Connection List",
		0x4e: "Base Energy", 0x4f: "Electrical Energy", 0x50: "Non-Electrical Energy", 0x53: "Power Management", 0x5d: "CIP Security",
		0x5e: "EtherNet/IP Security", 0x5f: "Certificate Management",
	}, class)
}

// cipVendorReference is cipVendor as the reference has it: few vendors, some with ids of others.
func cipVendorReference(id uint16) string {
	switch id {
	case 1:
		return cipVendor(id)
	case 5:
		return "Schneider Electric"
	case 23:
		return "OMRON"
	case 49:
		return "Siemens"
	}
	return ""
}

// cipVendor names a vendor by the id that ODVA gave it, for the vendors met most; "" for others.
func cipVendor(id uint16) string {
	switch id {
	case 1:
		return "Rockwell Automation/Allen-Bradley"
	case 3:
		return "Honeywell"
	case 4:
		return "Parker Hannifin"
	case 5:
		return "Rockwell Automation/Reliance Electric"
	case 7:
		return "SMC"
	case 8:
		return "Molex"
	case 12:
		return "Banner Engineering"
	case 26:
		return "Festo"
	case 40:
		return "Wago"
	case 43:
		return "Balluff"
	case 44:
		return "Yaskawa"
	case 46:
		return "ABB"
	case 47:
		return "Omron"
	case 48:
		return "Turck"
	case 57:
		return "Pepperl+Fuchs"
	case 90:
		return "HMS Networks"
	case 97:
		return "Danfoss"
	case 108:
		return "Beckhoff"
	case 121:
		return "KUKA"
	case 145:
		return "Siemens Energy & Automation"
	case 161:
		return "Mitsubishi Electric"
	case 176:
		return "Red Lion Controls"
	case 243:
		return "Schneider Automation"
	case 255:
		return "Bosch Rexroth"
	case 283:
		return "Hilscher"
	case 309:
		return "ProSoft Technology"
	case 356:
		return "Fanuc Robotics America"
	case 367:
		return "Keyence"
	case 562:
		return "Phoenix Contact"
	case 591:
		return "Fanuc"
	case 640:
		return "Murrelektronik"
	case 678:
		return "Cognex"
	case 808:
		return "SICK"
	}
	return ""
}
