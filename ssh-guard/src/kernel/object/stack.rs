//! How much stack the programs take. The verifier adds up the frames of functions that call each other, and refuses more than
//! 512 bytes (`check_max_stack_depth` in kernel/bpf/verifier.c). Before Linux 6.9 each frame counts in steps of 32 bytes,
//! an empty one as well; later ones count in steps of 16, and let in what earlier ones refuse.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aya_obj::Object;
use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_CALL, BPF_DW, BPF_IMM, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_MOV, BPF_PSEUDO_CALL,
    BPF_PSEUDO_FUNC, BPF_ST, BPF_STX, BPF_X, bpf_insn,
};

use super::OBJECT;

/// The most that the frames of a chain of calls may take together, in bytes (`MAX_BPF_STACK`).
const MOST: u32 = 512;
/// The most functions in a chain (`MAX_CALL_FRAMES`).
const LONGEST: usize = 8;
/// The steps in which a frame counts, in bytes.
const STEP: u32 = 32;
/// The part of an operation that says of which class it is (`BPF_CLASS`).
const CLASS: u32 = 7;
/// The register that points at the end of the frame.
const FRAME: u8 = 10;

/// The functions of a program, by where they begin.
struct Functions(BTreeMap<usize, Function>);

/// A function: its frame in bytes, and where those begin that it calls.
#[derive(Default, Debug)]
struct Function {
    frame: u32,
    calls: BTreeSet<usize>,
}

impl Functions {
    /// Finds all functions of a program: it begins with its own, and those that it calls stand behind.
    fn of(code: &[bpf_insn]) -> Self {
        let mut starts = BTreeSet::from([0]);
        loop {
            let ends = starts.iter().copied().skip(1).chain([code.len()]);
            let functions =
                starts.iter().zip(ends).map(|(&start, end)| (start, Function::read(code, start, end)));
            let functions: BTreeMap<_, _> = functions.collect();
            let known = starts.len();
            starts.extend(functions.values().flat_map(|function| &function.calls));
            if starts.len() == known {
                return Self(functions);
            }
        }
    }

    /// The frames of the chain of calls from a function on that takes most, as they count.
    fn deepest(&self, start: usize, above: usize) -> Vec<u32> {
        assert!(above < LONGEST, "more than {LONGEST} functions call each other");
        let Function { frame, calls } = &self.0[&start];
        let below = calls.iter().map(|call| self.deepest(*call, above + 1));
        let below = below.max_by_key(|frames| frames.iter().sum::<u32>()).unwrap_or_default();
        [vec![(*frame).max(1).next_multiple_of(STEP)], below].concat()
    }
}

impl Function {
    /// Reads the function between two instructions. What lies in the frame is used where it lies, or by its address, which the
    /// compiler makes by a copy and an addition: whatever is added to that later leads to no lower one.
    fn read(code: &[bpf_insn], start: usize, end: usize) -> Self {
        let mut function = Self::default();
        let mut at = start;
        // The register that has just got a copy of the frame's end.
        let mut copy = None;
        while at < end {
            let instruction = &code[at];
            let (to, from) = (instruction.dst_reg(), instruction.src_reg());
            let operation = u32::from(instruction.code);
            let is_copy = operation == BPF_ALU64 | BPF_MOV | BPF_X && from == FRAME;
            let is_wide = operation == BPF_LD | BPF_IMM | BPF_DW;
            let reached = match operation & CLASS {
                BPF_LDX if from == FRAME => i32::from(instruction.off),
                BPF_ST | BPF_STX if to == FRAME => i32::from(instruction.off),
                _ if operation == BPF_ALU64 | BPF_ADD | BPF_K && copy == Some(to) => instruction.imm,
                _ => 0,
            };
            function.frame = function.frame.max(reached.min(0).unsigned_abs());
            copy = is_copy.then_some(to);
            let is_call = operation == BPF_JMP | BPF_CALL && u32::from(from) == BPF_PSEUDO_CALL;
            if is_call || is_wide && u32::from(from) == BPF_PSEUDO_FUNC {
                let distance = isize::try_from(instruction.imm).unwrap() + 1;
                function.calls.insert(at.checked_add_signed(distance).unwrap());
            }
            at += if is_wide { 2 } else { 1 };
        }
        function
    }
}

#[test]
fn the_calls_of_no_program_take_more_stack_than_any_kernel_gives() {
    let mut object = Object::parse(OBJECT).unwrap();
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    // Each program is followed by the functions that it calls, as the kernel gets it.
    object.relocate_calls(&sections).unwrap();
    let mut chains = 0;
    for (name, program) in &object.programs {
        let functions = Functions::of(&object.functions[&program.function_key()].instructions);
        let frames = functions.deepest(0, 0);
        println!("{name}: {frames:?} bytes of stack");
        assert!(frames.iter().sum::<u32>() <= MOST, "{name} takes {frames:?} bytes of stack, of {MOST}");
        chains += usize::from(frames.len() > 1);
    }
    assert!(chains > 0, "no program calls a function: they were not found");
}

#[test]
fn frames_count_in_steps_and_the_deepest_chain_is_found() {
    let instruction = |operation: u32, to: u8, from: u32, off: i16, imm: i32| bpf_insn {
        code: operation.try_into().unwrap(),
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from.try_into().unwrap()),
        off,
        imm,
    };
    let frame = u32::from(FRAME);
    let call = |distance: i32| instruction(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
    let code = [
        call(3),
        instruction(BPF_LDX | BPF_DW, 1, frame, -33, 0),
        call(4),
        instruction(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -400),
        // 4: calls nobody.
        instruction(BPF_STX | BPF_DW, FRAME, 1, -104, 0),
        instruction(BPF_STX | BPF_DW, 1, 2, -500, 0),
        instruction(BPF_ST | BPF_DW, FRAME, 0, -8, 7),
        // 7: calls the next.
        instruction(BPF_ALU64 | BPF_MOV | BPF_X, 2, frame, 0, 0),
        instruction(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -64),
        instruction(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 1),
        instruction(0, 0, 0, 0, 0),
        // 11: has no frame.
        instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
    ];
    let functions = Functions::of(&code);
    assert_eq!(functions.0.keys().copied().collect::<Vec<_>>(), [0, 4, 7, 11]);
    assert_eq!(functions.deepest(0, 0), [64, 128]);
    assert_eq!(functions.deepest(7, 0), [64, 32]);
}
