# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""The invariants in Chinese, and the headings under which both languages list them."""

from collections.abc import Sequence
from typing import Final

from services.demo.report.story import CheckLine, Phrase

GROUPS: Final[dict[str, Phrase]] = {
    "I1": Phrase("Never oversold", "绝不超发"),
    "I2": Phrase("Nobody over the limit", "无人超限"),
    "I3": Phrase("No acknowledged claim is lost", "已确认的领取无一丢失"),
    "I4": Phrase("Nothing is redeemed twice", "绝不重复核销"),
    "I5": Phrase("Double entry balances", "复式记账平衡"),
    "I6": Phrase("No account is overdrawn", "账户不透支"),
    "I7": Phrase("The books equal the vouchers", "账券相符"),
    "I8": Phrase("Every funder's money is accounted for", "出资去向完整"),
    "I9": Phrase("Every event has its journal", "有事必有账"),
    "I10": Phrase("The gate follows the ledger", "闸口与账本一致"),
    "I11": Phrase("The seals are unbroken", "封存链完整"),
    "I12": Phrase("Closed days stay closed", "已关账日不变动"),
    "crowd": Phrase("What the crowd itself saw", "居民侧核对"),
    "till": Phrase("What the tills themselves were told", "收银侧核对"),
    "statement": Phrase("Planted is found, exactly", "埋入差异分毫不差地查出"),
    "money": Phrase("The money is where the books say", "账实相符"),
}
OTHERS: Final = Phrase("Others", "其他")

IN_CHINESE: Final[dict[str, str]] = {
    "I1_live_within_quota": "任何场次的有效领取数不超过投放量。",
    "I1_live_is_counted": "场次的有效计数等于其有效领取数。",
    "I1_serials_gap_free": "场次的序号互不相同，自 1 起连续无缺。",
    "I2_claims_within_limit": "任何人在同一场次的领取数不超过限额，已释放的除可再领外仍计入。",
    "I2_ordinals_within_limit": "领取的次序号在 1 与场次限额之间。",
    "I2_one_claim_per_request": "同一人的同一请求至多对应一个有效领取，重发得到同一结果。",
    "I2_claims_have_persons": "每个领取都有对应的人。",
    "I3_every_yes_is_in_the_ledger": "每个已告知成功的领取，事后本人均可按序号查到。",
    "I4_draws_within_face": "券上未退回的抵扣额不超过面额，且与券的记录一致。",
    "I4_one_live_redemption": "每张券至多有一笔未退回的核销。",
    "I4_vouchers_belong_to_claims": (
        "券的记录与其领取的券包一致：场次、券种、面额、到期日；领取作废则券作废。"
    ),
    "I4_redemptions_keep_the_terms": (
        "核销由已入驻的收银台在到期前发起，订单达到最低消费，按全额抵扣，并有对应请求。"
    ),
    "I5_journals_are_whole": "每个记账凭证都有分录，行号自 1 起连续。",
    "I5_transfers_have_journals": "每笔分录都属于本账簿的某个凭证。",
    "I5_transfers_move_money": "每笔分录在两个不同账户之间转移正数金额。",
    "I5_transfers_stay_in_their_book": "分录的两个账户同属其项目的账簿。",
    "I5_books_balance": "每个账簿的借方余额合计等于贷方余额合计。",
    "I6_no_account_is_overdrawn": "任何账户在其正常方向上不为负。",
    "I6_guarded_balances_match": "受控账户的余额行等于其分录合计，其他账户没有余额行。",
    "I7_funder_shares_are_whole": "项目各出资方的比例合计为 10,000 个基点。",
    "I7_kind_shares_sum_to_face": "各出资方对一张券的出资合计等于面额。",
    "I7_kind_shares_follow_funders": "只有项目的出资方出资，且与其比例相差不超过一分。",
    "I7_pack_face_is_its_kinds": "券包面额等于包内各券面额之和。",
    "I7_reserved_is_unclaimed_packs": "已划拨余额等于该出资方在待领券包中的份额，别无其他。",
    "I7_outstanding_is_unused_vouchers": (
        "已领未用余额等于该出资方在有效领取中未冻结、未核销、未过期的券的份额。"
    ),
    "I7_held_is_held_vouchers": "冻结余额等于该出资方在冻结中的券的份额。",
    "I7_payable_is_unpaid_captures": "应付商户余额等于银行通道核销额，减去结算前撤销与已付款部分。",
    "I7_merchant_recv_is_clawed_back": "应收商户余额等于结算后撤销的金额，减去付款时已抵扣部分。",
    "I7_transit_is_payouts_under_way": "批次在途余额等于已切批而未完结的付款。",
    "I7_payouts_are_their_records": "每笔付款的支付与抵扣等于其结算明细，批次等于其付款之和。",
    "I7_suspense_is_posted_breaks": "账簿的长款与短款余额，等于双人复核入账的差异。",
    "I7_expiries_are_exact": "到期处理恰好涵盖有效领取中未动用的券，其后无作废或动用。",
    "I7_cohorts_know_their_expiry": "一批券标记为已到期，当且仅当有相应的到期处理，此前为待到期。",
    "I7_custody_follows_the_drops": (
        "数字人民币场次的托管划转等于券包以现金划拨的金额减去已转出部分，其他场次没有。"
    ),
    "I8_funded_is_accounted_for": (
        "出资方实付或承诺的资金，或可用、或已划拨、或已领取、或冻结、或已核销、或待退回、或已退回。"
    ),
    "I9_events_have_their_journals": (
        "每个事件恰有一个凭证，账簿、场次、时间与操作人一致，反之亦然。"
    ),
    "I9_amounts_follow_from_events": (
        "每个凭证在其类型规定的账户之间转移的金额，等于事件数据重新计算的结果。"
    ),
    "I9_released_claims_have_releases": "领取被释放，当且仅当有相同版本与时间的释放记录。",
    "I9_versions_gap_free": "场次的每个版本恰由一次变更、一批领取或一次释放产生，自 1 起连续。",
    "I9_drops_follow_their_changes": "场次的状态与投放量，等于其变更与其后撤回累计的结果。",
    "I9_records_follow_from_events": (
        "每笔核销、核销撤销与到期恰有一条结算明细，凭证与金额一致，反之亦然。"
    ),
    "I9_ecny_is_confirmed": (
        "数字人民币通道的资金变动与运营机构的确认完全一致，待定者恰有一条未决指令。"
    ),
    "I10_gates_follow_the_ledger": "已装载的闸口交接一次后，版本与账本一致，余量等于可领数。",
    "crowd_one_claim_each": "无论告知多少次成功，同一人得到的都是同一个领取。",
    "crowd_one_holder_of_each_claim": "没有一个领取被给予两个人。",
    "crowd_serials_are_distinct": "没有一个序号对应两个领取。",
    "crowd_every_serial_was_told": "序号自 1 至券包总数全部发出，无多无缺。",
    "crowd_no_yes_was_also_a_no": "持有券包的人没有在任何连接上被最终拒绝。",
    "crowd_refused_for_stock_alone": "本场次唯一的最终拒绝原因是已抢完。",
    "crowd_everybody_was_told": "所有人都在耐心耗尽前得到最终答复。",
    "till_every_yes_is_in_the_books": "每笔已告知收银台成功的核销均在账上，内容与所告知一致。",
    "till_the_books_hold_nothing_else": "账上没有任何收银台未被告知的核销。",
    "till_no_voucher_was_taken_twice": "没有一张券被两个请求核销。",
    "till_what_was_undone_stays_undone": "已释放、已撤销或告知从未发生的，均未核销。",
    "till_answers_agree": "没有应答与先前的应答或规则相矛盾。",
    "till_everybody_was_told": "每个请求都得到了有效的最终答复。",
    "statement_planted_differences_are_found": "每笔埋入的差异均被查出，类型、编号与金额一致。",
    "statement_nothing_else_is_found": "除埋入的差异外，没有报告任何差异。",
    "statement_results_repeat": "同一对账单再次核对，结果摘要相同。",
    "statement_differences_are_settled": "每笔差异均由两人处理完毕。",
    "money_nothing_is_owed_in_the_end": "商户已付清，券已核销或过期，余款已退回。",
    "money_is_where_the_books_say": "银行与钱包的余额等于账面余额，挂账差异除外。",
}


def grouped(checks: Sequence[CheckLine]) -> list[tuple[Phrase, list[CheckLine]]]:
    """Return the checks under their headings, in the order in which these first occur."""
    found: dict[str, list[CheckLine]] = {}
    for check in checks:
        group = check.name.partition("_")[0]
        found.setdefault(group if group in GROUPS else "", []).append(check)
    return [(GROUPS.get(group, OTHERS), lines) for group, lines in found.items()]


def description_in_chinese(check: CheckLine) -> str | None:
    """Return what must hold, or None for a check that nobody has put into Chinese."""
    return IN_CHINESE.get(check.name)
