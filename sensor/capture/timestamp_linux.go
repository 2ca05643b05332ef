package capture

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxClockOffset is how far the clock of a network card may be from the system's. One
// that nothing keeps (ptp4l, phc2sys) drifts, or counts from the start of the machine;
// one that is kept in TAI is 37 seconds ahead.
const maxClockOffset = time.Second

// enableHardwareTimestamps makes the network card measure the time of all packets that
// come in. An error says why it does not, or why its times are not to be taken.
// Linux: networking/timestamping.
func enableHardwareTimestamps(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) //nolint:errcheck // it was only asked
	info, err := unix.IoctlGetEthtoolTsInfo(fd, name)
	if err != nil {
		return fmt.Errorf("ETHTOOL_GET_TS_INFO: %w", err)
	}
	const needed = unix.SOF_TIMESTAMPING_RX_HARDWARE | unix.SOF_TIMESTAMPING_RAW_HARDWARE
	if info.So_timestamping&needed != needed || info.Rx_filters&(1<<unix.HWTSTAMP_FILTER_ALL) == 0 {
		return errors.New("the card does not measure the time of all packets")
	}
	if info.Phc_index < 0 {
		return errors.New("the card's clock cannot be read")
	}
	if err := checkClock(info.Phc_index); err != nil {
		return err
	}
	now, err := unix.IoctlGetHwTstamp(fd, name)
	if err != nil {
		now = &unix.HwTstampConfig{} // old drivers can only be told
	}
	if now.Rx_filter == unix.HWTSTAMP_FILTER_ALL {
		return nil
	}
	set := unix.HwTstampConfig{Tx_type: now.Tx_type, Rx_filter: unix.HWTSTAMP_FILTER_ALL}
	if err := unix.IoctlSetHwTstamp(fd, name, &set); err != nil {
		return fmt.Errorf("SIOCSHWTSTAMP (needs CAP_NET_ADMIN): %w", err)
	}
	return nil
}

// checkClock compares the clock of a card (PTP hardware clock) with the system's.
func checkClock(index int32) error {
	f, err := os.Open(fmt.Sprintf("/dev/ptp%d", index))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.FdToClockID(int(f.Fd())), &ts); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	if off := time.Until(time.Unix(ts.Unix())); off.Abs() > maxClockOffset {
		return fmt.Errorf("the card's clock %s is %v from the system's", f.Name(), off)
	}
	return nil
}
