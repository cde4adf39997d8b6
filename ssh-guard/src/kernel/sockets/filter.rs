//! The filter by which the kernel leaves out sockets before it tells of them: a program of jumps, which it checks and runs
//! for each socket (`INET_DIAG_REQ_BYTECODE`; Linux, `net/ipv4/inet_diag.c`, `inet_diag_bc_audit`, `inet_diag_bc_run`).

use bytemuck::{Pod, Zeroable};

/// A step: where it leads to if it holds, and if not, counted in bytes from itself. To end right behind the program takes
/// a socket, to end further on leaves it out.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Step {
    code: u8,
    yes: u8,
    /// For the operand of a comparison: the port.
    no: u16,
}

/// Takes the sockets whose own port is one of these.
pub(super) fn of_ports(ports: &[u16]) -> Vec<u8> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let operand = Step { code: NOP, yes: 0, no: *port };
        // On to the next port; from the last one, which has no jump, that leads behind the end.
        let otherwise = |steps: usize| size(steps * STEP);
        steps.push(Step { code: OWN_PORT_AT_LEAST, yes: COMPARISON, no: otherwise(5) });
        steps.push(operand);
        steps.push(Step { code: OWN_PORT_AT_MOST, yes: COMPARISON, no: otherwise(3) });
        steps.push(operand);
        let left = ports.len() - number - 1;
        if left > 0 {
            // To the end: over what is left, which is one jump short.
            steps.push(Step { code: JUMP, yes: ALONE, no: size(left * 5 * STEP) });
        }
    }
    bytemuck::cast_slice(&steps).to_vec()
}

fn size(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

const STEP: usize = size_of::<Step>();
/// The bytes of a step alone, and of a comparison with its operand.
const ALONE: u8 = 4;
const COMPARISON: u8 = 8;

/// `INET_DIAG_BC_NOP` and others of `linux/inet_diag.h`.
const NOP: u8 = 0;
const JUMP: u8 = 1;
/// There is a step for "equal" since kernel 5.1 only.
const OWN_PORT_AT_LEAST: u8 = 2;
const OWN_PORT_AT_MOST: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel does.
    fn takes(filter: &[u8], port: u16) -> bool {
        let steps: &[Step] = bytemuck::cast_slice(filter);
        let (mut at, length) = (0, steps.len());
        while at < length {
            let Step { code, yes, no } = steps[at];
            let holds = match code {
                OWN_PORT_AT_LEAST => port >= steps[at + 1].no,
                OWN_PORT_AT_MOST => port <= steps[at + 1].no,
                JUMP => false,
                _ => true,
            };
            at += if holds { usize::from(yes) } else { usize::from(no) } / STEP;
        }
        at == length
    }

    #[test]
    fn a_filter_takes_its_ports_and_no_others() {
        let all = [22, 2222, 1, 65535, 1024, 443, 80, 8022, 222, 2022, 5022, 6022, 7022, 9022, 23, 21];
        for ports in (1..=all.len()).map(|count| &all[..count]) {
            let filter = of_ports(ports);
            for port in 0..=u16::MAX {
                assert_eq!(takes(&filter, port), ports.contains(&port), "{port} of {ports:?}");
            }
        }
    }
}
