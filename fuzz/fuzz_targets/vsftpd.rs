#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ssh_guard_fuzz::logs::understand(
    data,
    ssh_guard_fuzz::Parser::Vsftpd
));
