# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""Every label of the report, in both languages side by side."""

from typing import Final

from services.demo.report.story import Phrase

TEXTS: Final[dict[str, Phrase]] = {
    "language": Phrase("English", "中文"),
    "title": Phrase("Voucher programmes, to the last fen", "消费券项目，分毫可核"),
    "subtitle": Phrase(
        "A played run of {programmes}: funding, the drop, a week at the tills, settlement,"
        " reconciliation, and what went back. Residents, shops and banks are simulated; the"
        " services, the database and the books are the real ones.",
        "演练项目：{programmes}。全程包括拨款、开抢、一周核销、结算、对账与退款。"
        "居民、商户和银行为模拟，服务、数据库与账本均为真实运行。",
    ),
    "list_and": Phrase(" and ", "、"),
    "verdict_sound": Phrase("All {count} checks hold", "{count} 项核查全部通过"),
    "verdict_broken": Phrase(
        "{count} of {all} checks found something wrong", "{all} 项核查中有 {count} 项发现问题"
    ),
    "verdict_sound_says": Phrase(
        "Nothing was oversold, no acknowledged claim was lost, nothing was redeemed twice, and the"
        " books balance.",
        "未超发，已确认的领取无一丢失，无重复核销，账目平衡。",
    ),
    "verdict_broken_says": Phrase(
        "See the list of checks below; do not rely on the figures of this page.",
        "详见下方核查清单；本页数字不可采信。",
    ),
    "made": Phrase("Made {at}, city time.", "生成于 {at}（北京时间）。"),
    "money_sign": Phrase("¥ is yuan (CNY).", "金额单位为人民币元。"),
    "as_table": Phrase("Show as a table", "以表格查看"),
    "total": Phrase("Total", "合计"),
    "overview": Phrase("Overview", "概览"),
    "rail_bank": Phrase("Paid through a supervised bank account", "监管银行账户支付"),
    "rail_ecny": Phrase("Paid in digital yuan (e-CNY)", "数字人民币支付"),
    # Headline figures.
    "card_packs": Phrase("Packs on offer", "投放券包"),
    "card_packs_says": Phrase(
        "{face} each, for {residents} residents", "每包 {face}，{residents} 名居民参与"
    ),
    "card_sold_out": Phrase("Sold out after", "抢完用时"),
    "card_sold_out_says": Phrase(
        "{peak} claim requests in the busiest second", "最高每秒 {peak} 次领取请求"
    ),
    "not_sold_out": Phrase("not sold out", "未抢完"),
    "card_redeemed": Phrase("Redeemed", "已核销"),
    "card_redeemed_says": Phrase(
        "{share} of the {claimed} claimed, in {count} redemptions",
        "占已领取 {claimed} 的 {share}，共核销 {count} 笔",
    ),
    "card_paid": Phrase("Paid to shops", "已付商户"),
    "card_paid_says": Phrase("{owed} still owed to them", "尚欠商户 {owed}"),
    "card_back": Phrase("Went back to the funders", "退回出资方"),
    "card_back_says": Phrase("of {put_in} put in or promised", "出资及承诺总额 {put_in}"),
    "card_breaks": Phrase("Differences found", "发现差异"),
    "card_breaks_says": Phrase(
        "{planted} were planted by the demo to be found", "其中 {planted} 笔由演练预先埋入"
    ),
    # The drop.
    "drop": Phrase("The drop", "开抢"),
    "drop_says": Phrase(
        "Each second after the opening: claims that were won, and answers that were no. Below, the"
        " packs that were left.",
        "开抢后逐秒：成功领取数与被拒应答数；下方为剩余券包。",
    ),
    "drop_chart": Phrase("Claims per second and packs left", "逐秒领取与剩余券包"),
    "drop_chart_desc": Phrase(
        "{won} packs were won. The busiest second answered {busiest} requests. {end}.",
        "共成功领取 {won} 包；最忙一秒应答 {busiest} 次请求；{end}。",
    ),
    "won": Phrase("won", "成功领取"),
    "refused": Phrase("answered no", "被拒应答"),
    "stock_left": Phrase("packs left", "剩余券包"),
    "answers_per_second": Phrase("answers per second", "每秒应答"),
    "sold_out_at": Phrase("sold out after {at}", "{at} 抢完"),
    "second": Phrase("Second", "秒"),
    "second_axis": Phrase("seconds after the opening", "开抢后秒数"),
    "no_claims": Phrase("Nobody asked for a pack.", "无人领取。"),
    "latency": Phrase("How long an answer took, in milliseconds", "应答耗时（毫秒）"),
    "latency_answer": Phrase("The answer", "应答类型"),
    "latency_count": Phrase("Answers", "次数"),
    "latency_p50": Phrase("Half within", "50% 不超过"),
    "latency_p99": Phrase("99 % within", "99% 不超过"),
    "latency_max": Phrase("Slowest", "最慢"),
    "answer_won": Phrase("a pack", "领取成功"),
    "answer_sold_out": Phrase("sold out", "已抢完"),
    "answer_other": Phrase("ask again, and others", "稍后再试及其他"),
    "answer_redeemed": Phrase("redeemed at a till", "收银台核销"),
    # Redemption.
    "days": Phrase("Redemptions by day", "每日核销"),
    "days_says": Phrase(
        "What the orders amounted to: the part the vouchers gave, and the part residents paid.",
        "订单金额构成：消费券抵扣部分与居民自付部分。",
    ),
    "days_chart": Phrase("Orders with a voucher, by day", "每日用券订单"),
    "days_chart_desc": Phrase(
        "{count} redemptions on {days} days: vouchers gave {voucher} of orders of {order}.",
        "{days} 天共核销 {count} 笔：订单总额 {order}，其中消费券抵扣 {voucher}。",
    ),
    "day": Phrase("Day", "日期"),
    "redemptions": Phrase("Redemptions", "核销笔数"),
    "voucher_part": Phrase("vouchers gave", "消费券抵扣"),
    "resident_part": Phrase("residents paid", "居民自付"),
    "orders": Phrase("Orders before discount", "优惠前订单额"),
    "no_redemptions": Phrase("Nothing was redeemed.", "无核销。"),
    "redemptions_of": Phrase("{count} redemptions", "{count} 笔核销"),
    # Money.
    "money": Phrase("Where each yuan went", "每一元的去向"),
    "money_says": Phrase(
        "From the funders on the left to where the money is now. What comes to a stop goes on from"
        " it to the fen: {put_in} in, {put_in} accounted for.",
        "自出资方流向最终去处。每一环节流入等于流出，分毫不差：投入 {put_in}，去向 {put_in}。",
    ),
    "money_chart": Phrase("The flow of the money", "资金流向"),
    "money_chart_desc": Phrase(
        "{put_in} were put in. Of these: {ends}.", "共投入 {put_in}，其中：{ends}。"
    ),
    "list_comma": Phrase(", ", "，"),
    "from": Phrase("From", "来自"),
    "to": Phrase("To", "去往"),
    "whose": Phrase("Whose money", "出资方"),
    "amount": Phrase("Amount", "金额"),
    "mode_cash": Phrase("in cash", "现金"),
    "mode_pledge": Phrase("pledged", "承诺"),
    "stop_allocated": Phrase("Allocated to the drop", "划入场次"),
    "stop_claimed": Phrase("Claimed", "已领取"),
    "stop_redeemed": Phrase("Redeemed", "已核销"),
    "stop_expired": Phrase("Expired unused", "过期未用"),
    "stop_unclaimed": Phrase("Never claimed", "无人领取"),
    "stop_unused": Phrase("Still valid, not used", "有效未用"),
    "stop_paid_bank": Phrase("Paid to shops by bank", "银行付给商户"),
    "stop_paid_ecny": Phrase("Paid to shops in e-CNY", "数字人民币付商户"),
    "stop_absorbed": Phrase("Borne by the shops", "商户自担"),
    "stop_unpaid": Phrase("Still owed to shops", "待付商户"),
    "stop_returned": Phrase("Returned to its funder", "退回出资方"),
    "stop_undrawn": Phrase("Pledge never drawn", "承诺未动用"),
    "stop_budget": Phrase("Left in the budget", "留在预算"),
    # Leverage.
    "leverage": Phrase("Leverage", "杠杆"),
    "leverage_says": Phrase(
        "Yuan of spending for each yuan of voucher redeemed.", "每核销 1 元消费券对应的消费额。"
    ),
    "leverage_chart": Phrase("Leverage, three ways", "三种口径的杠杆"),
    "leverage_chart_desc": Phrase(
        "Floor {floor}, gross {gross}, out of pocket {pocket}.",
        "下限 {floor}，总额 {gross}，居民自付 {pocket}。",
    ),
    "floor": Phrase("Floor", "下限"),
    "floor_says": Phrase(
        "the least the rules allow: minimum spends ÷ vouchers", "规则下限：最低消费之和 ÷ 券额之和"
    ),
    "gross": Phrase("Gross", "总额"),
    "gross_says": Phrase(
        "what press releases quote: orders ÷ vouchers", "通稿口径：订单额之和 ÷ 券额之和"
    ),
    "pocket": Phrase("Out of pocket", "居民自付"),
    "pocket_says": Phrase("what residents paid themselves ÷ vouchers", "居民自付之和 ÷ 券额之和"),
    "not_causal": Phrase(
        "None of these is the effect of the programme: the floor follows from the rules before"
        " anybody buys, and the gross figure counts purchases that would have been made anyway."
        " That takes a comparison with people who had no voucher.",
        "以上均非政策的真实效果：下限在购买之前已由规则决定，总额包含了本来就会发生的消费。"
        "真实效果须与未领券人群对照才能得出。",
    ),
    # Settlement.
    "settlement": Phrase("Settlement with the shops", "商户结算"),
    "settlement_batches": Phrase("Settlement batches", "结算批次"),
    "settlement_payouts": Phrase("Payouts", "付款笔数"),
    "settlement_paid": Phrase("Paid", "已付金额"),
    "settlement_rejected": Phrase("Sent back, then paid", "退票后付成"),
    "settlement_uncertain": Phrase("Uncertain until asked for", "查询后才确定"),
    "settlement_says_bank": Phrase(
        "Finance cuts a batch, another person approves it, the bank pays. A payout counts as paid"
        " only when the bank has said so.",
        "财务切批，另一人审批，银行付款；以银行回执为准，未回执不视为已付。",
    ),
    "settlement_says_ecny": Phrase(
        "Each redemption is paid from the custody wallet into the shop's wallet. It counts as paid"
        " only when the operator has said so.",
        "每笔核销由托管钱包直接付入商户钱包；以运营机构回执为准，未回执不视为已付。",
    ),
    # Reconciliation.
    "reconciliation": Phrase("Reconciliation", "对账"),
    "reconciliation_says": Phrase(
        "Each statement is held against the books, line by line, in both directions. The demo"
        " planted differences to see whether they are found.",
        "对账单与账本逐笔双向核对。演练预先埋入差异，检验能否查出。",
    ),
    "planted_found": Phrase(
        "{planted} planted, {found} of them found, {others} others found",
        "埋入 {planted} 笔，查出其中 {found} 笔，另发现 {others} 笔",
    ),
    "parked": Phrase(
        "Booked to suspense until they are explained: {over} over (长款), {short} short (短款).",
        "挂账待查：长款 {over}，短款 {short}。",
    ),
    "no_statements": Phrase("No statement came.", "未收到对账单。"),
    "format_bank-statement": Phrase("Bank statement", "银行对账单"),
    "format_ecny-daily": Phrase("e-CNY operator's daily file", "数字人民币运营机构日终文件"),
    "matched": Phrase("{matched} of {rows} lines matched", "{rows} 行中匹配 {matched} 行"),
    "no_breaks": Phrase("Without a difference: {count}", "无差异的对账单：{count} 份"),
    "statement": Phrase("Statement", "对账单"),
    "lines_matched": Phrase("Lines matched", "匹配行数"),
    "matched_of": Phrase("{matched} of {rows}", "{matched} / {rows}"),
    "result": Phrase("Result", "结果摘要"),
    "same_again": Phrase(
        "Result {hash}: the same inputs give it again", "结果摘要 {hash}，相同输入可复现"
    ),
    "break_what": Phrase("What", "差异类型"),
    "break_label": Phrase("Over or short", "长短款"),
    "break_origin": Phrase("Origin", "来源"),
    "break_state": Phrase("How it ended", "处理结果"),
    "break_missing_in_ledger": Phrase("In the statement, not in the books", "对账单有、账上无"),
    "break_missing_in_channel": Phrase("In the books, not in the statement", "账上有、对账单无"),
    "break_amount": Phrase("Another amount", "金额不符"),
    "break_duplicate": Phrase("The same line twice", "重复行"),
    "break_direction": Phrase("In instead of out, or out instead of in", "收付方向相反"),
    "break_unreadable": Phrase("A line that cannot be read", "无法解析的行"),
    "break_balance": Phrase("Another balance", "余额不符"),
    "over": Phrase("over (长款)", "长款"),
    "short": Phrase("short (短款)", "短款"),
    "neither": Phrase("neither", "无金额差"),
    "planted": Phrase("planted", "演练埋入"),
    "not_planted": Phrase("not planted", "非埋入"),
    "not_found": Phrase("not found", "未查出"),
    "state_open": Phrase("open", "未处理"),
    "state_proposed": Phrase("proposed, not approved", "已提议，待审批"),
    "state_posted": Phrase("posted by two persons", "双人复核后入账"),
    "state_accepted": Phrase("accepted by two persons", "双人复核后认可"),
    "state_cleared": Phrase("cleared by a later statement", "后续对账单已核销"),
    # Returns.
    "returns": Phrase("What went back", "退回资金"),
    "returns_says": Phrase(
        "What was never claimed or expired unused goes back to whom it came from, by the route it"
        " came, once two persons agree.",
        "未领取或过期未用的资金，经双人复核后原路退回出资方。",
    ),
    "no_returns": Phrase("Nothing went back.", "无退回。"),
    "funder": Phrase("Funder", "出资方"),
    "way": Phrase("How", "方式"),
    "way_bank": Phrase("by bank transfer", "银行转账"),
    "way_wallet": Phrase("out of the custody wallet", "托管钱包退回"),
    "way_pledge": Phrase("promise struck off, no money moved", "承诺核销，无资金划转"),
    # Checks.
    "checks": Phrase("What must hold", "核查清单"),
    "checks_says": Phrase(
        "Each line is a question to the database, or to what the crowd, the tills, the bank and the"
        " wallet's operator have on their own side. It holds when nothing breaks it.",
        "每一行都是一次核查：对数据库，或对居民、收银台、银行与运营机构各自一侧的记录。"
        "零违反即通过。",
    ),
    "holds": Phrase("holds", "通过"),
    "offenders": Phrase("{count} offenders", "{count} 处违反"),
    "group_count": Phrase("{sound} of {all}", "{sound} / {all}"),
    # How this was measured.
    "measured": Phrase("How this was measured", "测量方法"),
    "measured_answers": Phrase(
        "Times to an answer are measured by the crowd, from sending a request to its answer, on the"
        " machine that also ran the servers. A city's own network comes on top.",
        "应答耗时由模拟居民侧测得，自发出请求至收到应答，与服务同机运行，不含城市网络时延。",
    ),
    "measured_money": Phrase(
        "Every amount is read from the double-entry books after the run, in whole fen. No figure on"
        " this page is rounded where it is money; axes are.",
        "所有金额均在演练结束后取自复式账本，以分为单位；除坐标轴外，金额未作取整。",
    ),
    "measured_time": Phrase(
        "The week at the tills was played in minutes: the deployment's clock was moved, real"
        " waiting was not.",
        "一周的核销在数分钟内演完：拨动的是系统时钟，并非真实等待。",
    ),
    "machine": Phrase("Machine", "机器"),
    "commit": Phrase("Version", "版本"),
    "no_commit": Phrase("not recorded", "未记录"),
    "played_at": Phrase("Made at", "生成时间"),
    "city_time": Phrase("{at}, city time (UTC+8)", "{at}（北京时间，UTC+8）"),
    "what_is_real": Phrase("What of it is real", "哪些取自真实项目"),
    "city_code": Phrase("city code {code}", "行政区划代码 {code}"),
}
